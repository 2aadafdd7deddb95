// list.h - intrusive doubly linked list: a head, and a node inside each element.
//
// An unlinked node points to itself, so list_remove() may be called on it again.

#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

// The element of `type` that holds the node `node` as its member `member`.
#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

// Walks a list; `next` allows the body to remove `it`.
#define list_each(it, following, head)                                                             \
    for (struct list *it = (head)->next, *following = it->next; it != (head);                      \
         it = following, following = it->next)

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

// Moves all nodes of `from` to the end of `to`.
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

static inline struct list *list_shift(struct list *head)
{
    struct list *node = head->next;

    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}
