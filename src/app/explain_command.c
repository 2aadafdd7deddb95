#include "app/explain_command.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/arguments.h"
#include "app/cliproxy.h"
#include "app/listen.h"
#include "app/local_key.h"
#include "app/reload.h"
#include "net/local_get.h"
#include "script/bundle.h"
#include "script/command.h"

enum {
    ANSWER_MAX = 64 * 1024 * 1024,
    PORTS_MAX = 16,
    ADDRESSES_MAX = LISTEN_ADDRESSES + 2,
    PATH_MAX_BYTES = 1024,
    TEXT_SIZE = 2048
};

// --- the command line --------------------------------------------------------------------------

static const char *const dialects[] = {"chat",      "completions", "responses",       "codex",
                                       "anthropic", "gemini",      "gemini_cli",      "openai",
                                       "claude",    "gemini-cli",  "openai-response", NULL};

static int usage_error(const char *format, const char *what)
{
    fprintf(stderr, format, what);
    fprintf(stderr, "\nusage: cli-proxy-api explain MODEL [--dialect DIALECT] [--json]\n"
                    "       cli-proxy-api explain --request ID [--json]\n");
    return 2;
}

static int parse_one(int argc, char **argv, int *i, struct explain_options *out)
{
    const char *given = argv[*i], *unset = "";
    const char **value = &unset;

    if (strcmp(given, "--json") == 0) {
        out->json = true;
    } else if (*given != '-') {
        if (out->model)
            return usage_error("one model at a time: '%s' is too much", given);
        out->model = given;
    } else if (arguments_take_value("--request", argc, argv, i, value)) {
        out->request = *value;
    } else if (arguments_take_value("--dialect", argc, argv, i, value)) {
        out->dialect = *value;
    } else {
        return usage_error("unknown option '%s'", given);
    }
    return *value ? 0 : usage_error("%s needs a value", given);
}

int explain_parse(int argc, char **argv, struct explain_options *out)
{
    *out = (struct explain_options){.dialect = ""};
    for (int i = 0; i < argc; i++) {
        int result = parse_one(argc, argv, &i, out);

        if (result != 0)
            return result;
    }
    if (*out->dialect && !arguments_is_one_of(out->dialect, dialects))
        return usage_error("'%s' is not a dialect", out->dialect);
    if ((out->model && *out->model) == (out->request && *out->request))
        return usage_error("%s", "a model or a request id is needed");
    // Anthropic clients see the id with this in front.
    if (out->request && strncmp(out->request, "req_", 4) == 0)
        out->request += 4;
    return 0;
}

// --- asking the server ---------------------------------------------------------------------------

// What came of asking.
struct answer {
    struct buf text;
    char address[128];       // of the server that answered
    char failure[TEXT_SIZE]; // why none did
};

struct address {
    char host[INET6_ADDRSTRLEN];
    bool six, loopback;
};

static void add_address(struct address *all, size_t *count, const char *host, bool six,
                        bool loopback)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(all[i].host, host) == 0)
            return;
    snprintf(all[*count].host, sizeof(all->host), "%s", host);
    all[*count].six = six;
    all[(*count)++].loopback = loopback;
}

// Where a server with this configuration may be reached from this machine.
static size_t find_addresses(const struct config *config, struct address all[ADDRESSES_MAX])
{
    struct listen_plan plan;
    struct buf error;
    size_t count = 0;

    buf_init(&error, 1024);
    if (!listen_plan(config, &plan, &error))
        plan.count = 0;
    for (size_t i = 0; i < plan.count; i++) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&plan.addresses[i];
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&plan.addresses[i];
        char host[INET6_ADDRSTRLEN];

        if (in->sin_family == AF_INET && in->sin_addr.s_addr == htonl(INADDR_ANY))
            continue;
        if (in->sin_family == AF_INET)
            inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        else if (plan.loopback) // from another one no request would be local
            inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        else
            continue;
        add_address(all, &count, host, in->sin_family == AF_INET6, plan.loopback);
    }
    add_address(all, &count, "127.0.0.1", false, true);
    add_address(all, &count, "::1", true, true);
    buf_deinit(&error);
    return count;
}

// Asks every address with and without TLS: what runs may have been started with other settings.
static bool ask_port(const struct config *config, int port, const char *key, const char *path,
                     struct answer *out)
{
    struct address all[ADDRESSES_MAX];
    size_t count = find_addresses(config, all);
    bool tls = config_bool(config, "tls.enable");

    for (size_t i = 0; i < 2 * count; i++) {
        const struct address *to = &all[i / 2];
        bool secure = i % 2 == 0 ? tls : !tls;
        char url[TEXT_SIZE], failure[TEXT_SIZE] = "";
        struct local_get request = {.url = url, .bearer = key};

        snprintf(out->address, sizeof(out->address), to->six ? "%s://[%s]:%d" : "%s://%s:%d",
                 secure ? "https" : "http", to->host, port);
        snprintf(url, sizeof(url), "%s%s", out->address, path);
        // A server bound to one address of this machine is reached from loopback all the same.
        request.from_loopback = !to->loopback && !to->six;
        if (local_get(&request, &out->text, failure, sizeof(failure)))
            return true;
        if (i == 0)
            snprintf(out->failure, sizeof(out->failure), "%.128s: %.1800s", out->address, failure);
    }
    return false;
}

// Adds the port of a key file's name.
static void add_port(const char *name, int *ports, size_t *count)
{
    char *end;
    long port;

    if (strncmp(name, "local-key-", 10) != 0)
        return;
    port = strtol(name + 10, &end, 10);
    if (*end || end == name + 10 || port < 1 || port > 65535 || *count == PORTS_MAX)
        return;
    for (size_t i = 0; i < *count; i++)
        if (ports[i] == port)
            return;
    ports[(*count)++] = (int)port;
}

// The configured port first: a running server may still have another one.
static size_t find_ports(const struct config *config, const char *directory, int *ports)
{
    int configured = (int)config_int(config, "port");
    DIR *dir = opendir(directory);
    struct dirent *entry;
    size_t count = 0;

    if (configured > 0)
        ports[count++] = configured;
    while (dir && (entry = readdir(dir)))
        add_port(entry->d_name, ports, &count);
    if (dir)
        closedir(dir);
    return count;
}

static bool ask_server(const struct config *config, const char *path, struct answer *out)
{
    char directories[2][LOCAL_KEY_PATH], file[LOCAL_KEY_PATH], key[LOCAL_KEY_SIZE];
    size_t directory_count = local_key_directories(config, directories);

    snprintf(out->failure, sizeof(out->failure), "no server has left its key in %s",
             directories[0]);
    for (size_t d = 0; d < directory_count; d++) {
        int ports[PORTS_MAX];
        size_t port_count = find_ports(config, directories[d], ports);

        for (size_t i = 0; i < port_count; i++) {
            int result;

            snprintf(file, sizeof(file), "%.1150s/local-key-%d", directories[d], ports[i]);
            result = local_key_read(file, key);
            if (result == 0 && ask_port(config, ports[i], key, path, out))
                return true;
            if (result < 0 && result != -ENOENT)
                snprintf(out->failure, sizeof(out->failure), "%s: %s", file, strerror(-result));
        }
    }
    return false;
}

static void escape(struct buf *out, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (isalnum(c) || strchr("-._~", c))
            buf_putc(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

// What to ask for.  False when a name is too long.
static bool make_path(const struct explain_options *options, struct buf *path)
{
    if (options->request) {
        buf_puts(path, "/v0/local/trace?id=");
        escape(path, options->request);
    } else {
        buf_puts(path, "/v0/local/explain?model=");
        escape(path, options->model);
        buf_printf(path, "&dialect=%s", options->dialect);
    }
    return !path->overflow && buf_cstr(path);
}

// --- printing ----------------------------------------------------------------------------------

static bool wants_colour(void)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

    return isatty(STDOUT_FILENO) && !(none && *none) && term && strcmp(term, "dumb") != 0;
}

static int run_script(struct config *config, const char *scripts, const char *function,
                      const struct command_argument *arguments, size_t count)
{
    struct buf notes;
    struct bundle *bundle;
    int code = 1;

    buf_init(&notes, 1024 * 1024);
    bundle = bundle_new(scripts, &notes);
    if (bundle) {
        struct command_job job = {.bundle = bundle,
                                  .config = config,
                                  .version = cliproxy_version(),
                                  .module = "core.explain_command",
                                  .function = function,
                                  .arguments = arguments,
                                  .argument_count = count};

        code = command_run(&job, &notes);
    }
    if (notes.len > 0)
        fprintf(stderr, "%s\n", buf_cstr(&notes));
    bundle_unref(bundle);
    buf_deinit(&notes);
    return code < 0 ? 1 : code;
}

static const char *yes(bool on)
{
    return on ? "yes" : NULL;
}

// The stock scripts print: an overlay that does not compile may be what is asked about.
static int print_answer(struct config *config, const struct explain_options *options,
                        struct answer *answer)
{
    const char *document = answer->text.len ? buf_cstr(&answer->text) : "";
    const struct command_argument arguments[] = {{"document", document ? document : ""},
                                                 {"address", answer->address},
                                                 {"json", yes(options->json)},
                                                 {"colour", yes(wants_colour())}};

    return run_script(config, NULL, "answer", arguments, 4);
}

static int explain_alone(struct config *config, const struct explain_options *options,
                         const char *failure)
{
    const struct command_argument arguments[] = {
        {"model", options->model},
        {"dialect", *options->dialect ? options->dialect : NULL},
        {"without", failure},
        {"json", yes(options->json)},
        {"colour", yes(wants_colour())},
    };
    char *scripts = reload_scripts_dir(config);
    int code = run_script(config, scripts, "alone", arguments, 5);

    free(scripts);
    return code;
}

int explain_command(struct config *config, bool broken, const struct explain_options *options)
{
    struct answer answer = {.failure = ""};
    struct buf path;
    int code = 1;

    buf_init(&answer.text, ANSWER_MAX);
    buf_init(&path, PATH_MAX_BYTES);
    if (!make_path(options, &path))
        fprintf(stderr, "the name is too long\n");
    else if (ask_server(config, path.data, &answer))
        code = print_answer(config, options, &answer);
    else if (options->request)
        fprintf(stderr, "only a running server knows its requests: %s\n", answer.failure);
    else if (broken)
        fprintf(stderr, "the configuration cannot be used, and no server answers: %s\n",
                answer.failure);
    else
        code = explain_alone(config, options, answer.failure);
    buf_deinit(&answer.text);
    buf_deinit(&path);
    return code;
}
