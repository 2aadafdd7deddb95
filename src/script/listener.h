// listener.h - small HTTP servers that scripts open, such as the one a login's browser comes back
// to.
//
// They live on the loop of the state's host and speak plain HTTP.  A closed one stays in the host's
// list until its handles have closed.  Free of Lua types.

#pragma once

#include <stdbool.h>

struct script_host;

// What the host does with all of them: after each pass of tasks, and at its end.
void listeners_flush(struct script_host *host);
bool listeners_closed(const struct script_host *host);
void listeners_free(struct script_host *host); // once closed
