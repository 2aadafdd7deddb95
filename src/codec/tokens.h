// tokens.h - how many tokens a text has, roughly, for models whose vendor has no counter.
//
// No vocabulary is used: the text is split much like byte-pair encoders split it before they look
// anything up, and each class of pieces has a cost fitted to counts that vendors published.  The
// unit test holds a paragraph of English within 5 % of OpenAI's counts; single odd words are off by
// up to half, and there are few published counts for code and for other scripts to hold it to.

#pragma once

#include <stddef.h>

enum tokens_family {
    TOKENS_O200K,  // OpenAI's newer models
    TOKENS_CL100K, // gpt-4, gpt-3.5
    TOKENS_CLAUDE,
    TOKENS_GEMINI,
    TOKENS_QWEN, // and most open models
    TOKENS_FAMILIES
};

// The family of a name such as "o200k"; TOKENS_O200K for names that are not known.
enum tokens_family tokens_family_find(const char *name, size_t len);

// 0 for empty text, else at least 1.  Bytes that are not UTF-8 count too.
size_t tokens_count(const char *text, size_t len, enum tokens_family family);
