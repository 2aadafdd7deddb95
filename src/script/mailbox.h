// mailbox.h - letters from one loop to another.
//
// A letter belongs to whoever holds it: its sender, the mailbox it was posted to, then its
// recipient; so what it carries needs no lock.

#pragma once

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"

struct letter {
    struct list in_box;
    void (*arrive)(struct letter *l); // on the recipient's thread, which owns it now
    void (*lost)(struct letter *l);   // the recipient has closed; whoever calls it owns the letter
};

struct mailbox;

// On the loop's thread, which goes on until the box is closed; the maker holds one reference.  NULL
// without memory.
struct mailbox *mailbox_new(uv_loop_t *loop);
struct mailbox *mailbox_ref(struct mailbox *m);
void mailbox_unref(struct mailbox *m);

// From any thread.  Letters arrive in the order they were posted.
void mailbox_post(struct mailbox *m, struct letter *l);

// On the loop's thread: letters that wait, and all later ones, are lost.  Gives back the maker's
// reference; `on_closed` is called when the loop is done with it.
void mailbox_close(struct mailbox *m, void (*on_closed)(void *ctx), void *ctx);
