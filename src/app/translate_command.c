#include "app/translate_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/arguments.h"
#include "app/reload.h"
#include "script/bundle.h"
#include "script/offline.h"

enum { INPUT_MAX = 64 * 1024 * 1024, OUTPUT_MAX = 256 * 1024 * 1024, PIECE = 64 * 1024 };

static const char *const dialects[] = {"chat",   "responses",  "codex", "anthropic",
                                       "gemini", "gemini_cli", NULL};

static int usage_error(const char *format, const char *what)
{
    fprintf(stderr, format, what);
    fprintf(stderr, "\nusage: cli-proxy-api translate --from DIALECT --to DIALECT [--response | "
                    "--stream] [--model NAME] [FILE]\ndialects:");
    for (size_t i = 0; dialects[i]; i++)
        fprintf(stderr, " %s", dialects[i]);
    fprintf(stderr, "\n");
    return 2;
}

static int set_mode(struct translate_options *out, const char *mode)
{
    if (strcmp(out->mode, "request") != 0 && strcmp(out->mode, mode) != 0)
        return usage_error("%s", "--response and --stream do not go together");
    out->mode = mode;
    return 0;
}

static int set_file(struct translate_options *out, const char *file)
{
    if (out->file)
        return usage_error("one file at a time: '%s' is too much", file);
    out->file = file;
    return 0;
}

static int parse_one(int argc, char **argv, int *i, struct translate_options *out)
{
    const char *given = argv[*i];
    const char *unset = "";
    const char **value = &unset;

    if (strcmp(given, "--response") == 0)
        return set_mode(out, "response");
    if (strcmp(given, "--stream") == 0)
        return set_mode(out, "stream");
    if (given[0] != '-' || strcmp(given, "-") == 0)
        return set_file(out, given);
    if (arguments_take_value("--from", argc, argv, i, value))
        out->from = *value;
    else if (arguments_take_value("--to", argc, argv, i, value))
        out->to = *value;
    else if (arguments_take_value("--model", argc, argv, i, value))
        out->model = *value;
    else
        return usage_error("unknown option '%s'", given);
    return *value ? 0 : usage_error("%s needs a value", given);
}

int translate_parse(int argc, char **argv, struct translate_options *out)
{
    *out = (struct translate_options){.mode = "request", .model = ""};
    for (int i = 0; i < argc; i++) {
        int result = parse_one(argc, argv, &i, out);

        if (result != 0)
            return result;
    }
    if (!out->from || !out->to)
        return usage_error("%s", "--from and --to are needed");
    if (!arguments_is_one_of(out->from, dialects))
        return usage_error("'%s' is not a dialect", out->from);
    if (!arguments_is_one_of(out->to, dialects))
        return usage_error("'%s' is not a dialect", out->to);
    if (out->file && strcmp(out->file, "-") == 0)
        out->file = NULL;
    return 0;
}

static bool read_all(FILE *file, const char *name, struct buf *text)
{
    for (;;) {
        char *room = buf_reserve(text, PIECE);
        size_t count;

        if (!room) {
            fprintf(stderr, "%s: larger than %d MiB\n", name, INPUT_MAX >> 20);
            return false;
        }
        count = fread(room, 1, PIECE, file);
        buf_commit(text, count);
        if (count == 0)
            break;
    }
    if (ferror(file))
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
    return !ferror(file);
}

static bool read_input(const char *path, struct buf *text)
{
    FILE *file = path ? fopen(path, "rb") : stdin;
    bool ok;

    if (!file) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    ok = read_all(file, path ? path : "standard input", text);
    if (path)
        fclose(file);
    return ok;
}

static struct bundle *load_scripts(const struct config *config, struct buf *notes)
{
    char *directory = reload_scripts_dir(config);
    struct bundle *b = bundle_new(directory, notes);

    free(directory);
    return b;
}

static bool print(FILE *file, const struct buf *text)
{
    return (text->len == 0 || fwrite(text->data, 1, text->len, file) == text->len) &&
           fflush(file) == 0;
}

int translate_command(struct config *config, const struct translate_options *options)
{
    struct offline_job job = {
        .from = options->from, .to = options->to, .mode = options->mode, .model = options->model};
    struct buf text, out, notes;
    struct bundle *b = NULL;
    bool fine = false;

    buf_init(&text, INPUT_MAX + PIECE);
    buf_init(&out, OUTPUT_MAX);
    buf_init(&notes, 1024 * 1024);
    if (!read_input(options->file, &text))
        goto done;
    b = load_scripts(config, &notes);
    if (b) {
        job.text = text.len ? text.data : "";
        job.text_len = text.len;
        fine = offline_translate(b, config, &job, &out, &notes);
    }
    if (!print(stdout, &out)) {
        fprintf(stderr, "standard output: %s\n", strerror(errno));
        fine = false;
    }
    print(stderr, &notes);

done:
    bundle_unref(b);
    buf_deinit(&text);
    buf_deinit(&out);
    buf_deinit(&notes);
    return fine ? 0 : 1;
}
