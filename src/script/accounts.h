// accounts.h - credentials that come and go while the program runs: token files and sessions.
//
// Shared by all threads.  Each source publishes whole sets; readers take the newest one and keep it
// as long as they like.

#pragma once

#include "script/credentials.h"

struct accounts;

enum accounts_source {
    ACCOUNTS_FILES,    // of auth-dir, published by the keeper
    ACCOUNTS_SESSIONS, // of clients that serve requests, such as AI Studio pages
    ACCOUNTS_SOURCES
};

struct accounts *accounts_new(void);
void accounts_free(struct accounts *a);

// Makes a sealed set the newest one of its source; takes over the caller's reference.
void accounts_publish(struct accounts *a, enum accounts_source source, struct credential_set *set);

// A reference to the newest set of a source, never NULL.
struct credential_set *accounts_take(struct accounts *a, enum accounts_source source);

// Changes with every accounts_publish(); cheap.
unsigned accounts_version(const struct accounts *a);
