#include "app/command_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum flag_id {
    FLAG_CONFIG,
    FLAG_LOGIN, // the logins, in the order in which one wins
    FLAG_CODEX_LOGIN,
    FLAG_CODEX_DEVICE_LOGIN,
    FLAG_CLAUDE_LOGIN,
    FLAG_QWEN_LOGIN,
    FLAG_IFLOW_LOGIN,
    FLAG_IFLOW_COOKIE,
    FLAG_PROJECT,
    FLAG_NO_BROWSER,
    FLAG_PORT,
    FLAG_PASSWORD,
    FLAG_CHECK,
    FLAG_VERSION,
    FLAG_HELP
};

static const struct flag {
    const char *name;
    enum flag_id id;
    bool value;
    const char *help; // NULL: not shown
} flags[] = {
    {"config", FLAG_CONFIG, true, "configuration file (default ./config.yaml, may be missing)"},
    {"check-config", FLAG_CHECK, false, "check the configuration and end"},
    {"login", FLAG_LOGIN, false, "log in to Google for Gemini CLI"},
    {"project_id", FLAG_PROJECT, true, "Google project for --login"},
    {"codex-login", FLAG_CODEX_LOGIN, false, "log in to ChatGPT for Codex"},
    {"codex-device-login", FLAG_CODEX_DEVICE_LOGIN, false,
     "the same with a code, for machines without a browser"},
    {"claude-login", FLAG_CLAUDE_LOGIN, false, "log in to Claude"},
    {"qwen-login", FLAG_QWEN_LOGIN, false, "log in to Qwen"},
    {"iflow-login", FLAG_IFLOW_LOGIN, false, "log in to iFlow"},
    {"iflow-cookie", FLAG_IFLOW_COOKIE, false, "log in to iFlow with the cookie of a browser"},
    {"no-browser", FLAG_NO_BROWSER, false, "print login addresses instead of opening them"},
    {"oauth-callback-port", FLAG_PORT, true, "local port that logins listen on"},
    {"password", FLAG_PASSWORD, true, NULL},
    {"version", FLAG_VERSION, false, "print the version and end"},
    {"help", FLAG_HELP, false, "print this and end"},
    {"h", FLAG_HELP, false, NULL},
};

void command_line_usage(void)
{
    printf("usage: cli-proxy-api [flags] [command]\n\nflags:\n");
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        char name[64];

        if (!flags[i].help)
            continue;
        snprintf(name, sizeof(name), "--%s%s", flags[i].name, flags[i].value ? " VALUE" : "");
        printf("  %-28s %s\n", name, flags[i].help);
    }
    printf("\ncommands:\n"
           "  %-28s %s\n  %-28s %s\n  %-28s %s\n  %-28s %s\n  %-28s %s\n  %-28s %s\n",
           "explain MODEL", "who would serve a model now, and what keeps the others from it",
           "explain --request ID", "why a past request (X-Request-Id) went where it went",
           "scripts list", "list the scripts in use, and which are your own", "scripts eject FILE",
           "write a stock script to scripts-dir, to be edited", "scripts check",
           "compile and verify all scripts", "translate --from D --to D",
           "translate a body offline (more: translate --help)");
}

static const struct flag *find_flag(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        if (strlen(flags[i].name) == len && strncmp(flags[i].name, name, len) == 0)
            return &flags[i];
    return NULL;
}

static int usage_error(const char *format, const char *what)
{
    fprintf(stderr, format, what);
    fprintf(stderr, "\nRun `cli-proxy-api --help` for the flags and commands.\n");
    return 2;
}

static bool read_port(const char *text, int *port)
{
    char *end;
    long number = strtol(text, &end, 10);

    *port = (int)number;
    return end > text && *end == '\0' && number >= 1 && number <= 65535;
}

static int set_flag(struct command_line *out, const struct flag *flag, const char *value,
                    enum flag_id *login)
{
    switch (flag->id) {
    case FLAG_CONFIG:
        out->config = value;
        break;
    case FLAG_PROJECT:
        out->project = value;
        break;
    case FLAG_PASSWORD:
        out->password = value;
        break;
    case FLAG_NO_BROWSER:
        out->no_browser = true;
        break;
    case FLAG_PORT:
        if (!read_port(value, &out->callback_port))
            return usage_error("invalid port '%s' for --oauth-callback-port", value);
        break;
    case FLAG_CHECK:
        out->command = COMMAND_CHECK_CONFIG;
        break;
    case FLAG_VERSION:
        out->command = COMMAND_VERSION;
        break;
    case FLAG_HELP:
        out->command = COMMAND_HELP;
        break;
    default:
        if (!out->login || flag->id < *login) {
            out->login = flag->name;
            *login = flag->id;
        }
        if (out->command == COMMAND_SERVE)
            out->command = COMMAND_LOGIN;
    }
    return 0;
}

// Booleans may be written `--debug=true` as well.
static int read_boolean(const struct flag *flag, const char *value, bool *on)
{
    *on = !value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
    if (*on || strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
        return 0;
    return usage_error("invalid boolean value for flag --%s", flag->name);
}

static int parse_command(int argc, char **argv, struct command_line *out)
{
    if (strcmp(argv[0], "translate") == 0) {
        out->command = COMMAND_TRANSLATE;
        return translate_parse(argc - 1, argv + 1, &out->translate);
    }
    if (strcmp(argv[0], "explain") == 0) {
        out->command = COMMAND_EXPLAIN;
        return explain_parse(argc - 1, argv + 1, &out->explain);
    }
    if (strcmp(argv[0], "scripts") != 0)
        return usage_error("unknown command '%s'", argv[0]);
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        out->command = COMMAND_SCRIPTS_LIST;
    } else if (argc == 2 && strcmp(argv[1], "check") == 0) {
        out->command = COMMAND_SCRIPTS_CHECK;
    } else if (argc == 3 && strcmp(argv[1], "eject") == 0) {
        out->command = COMMAND_SCRIPTS_EJECT;
        out->argument = argv[2];
    } else {
        return usage_error("%s", "usage: cli-proxy-api scripts list | eject FILE | check");
    }
    return 0;
}

int command_line_parse(int argc, char **argv, struct command_line *out)
{
    enum flag_id login = FLAG_LOGIN;
    int i = 1;

    *out = (struct command_line){0};
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        const char *name = argv[i] + (argv[i][1] == '-' ? 2 : 1);
        const char *equals = strchr(name, '=');
        const char *value = equals ? equals + 1 : NULL;
        const struct flag *flag;
        bool on = true;
        int result;

        if (*name == '\0') { // `--` ends the flags
            i++;
            break;
        }
        flag = find_flag(name, equals ? (size_t)(equals - name) : strlen(name));
        if (!flag)
            return usage_error("unknown flag '%s'", argv[i]);
        if (flag->value && !value) {
            if (i + 1 >= argc)
                return usage_error("flag --%s needs a value", flag->name);
            value = argv[++i];
        }
        result = flag->value ? 0 : read_boolean(flag, value, &on);
        if (result == 0 && on)
            result = set_flag(out, flag, value, &login);
        if (result != 0)
            return result;
    }
    return i < argc ? parse_command(argc - i, argv + i, out) : 0;
}
