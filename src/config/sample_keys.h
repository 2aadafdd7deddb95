// sample_keys.h - the API keys that config.example.yaml shows, which protect nothing.

#pragma once

#include <stdbool.h>

// True for `your-api-key-1` to `your-api-key-3`.
bool config_is_sample_key(const char *key);
