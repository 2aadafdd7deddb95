// Tests of credentials made from the configuration.

#include "script_world.h"

#include "script/credentials.h"

static struct credential_set *credentials_of(const char *text)
{
    struct config *config = config_of(text);
    struct credential_set *set = credentials_from_config(config);

    assert_non_null(set);
    config_unref(config); // the set keeps it
    return set;
}

static void test_ids_are_stable_and_follow_the_parts(void **state)
{
    static const char text[] = "openai-compatibility:\n"
                               "  - name: Acme\n"
                               "    base-url: https://API.acme.example:8443/v1/\n"
                               "    api-key-entries:\n"
                               "      - api-key: first-secret-key\n"
                               "      - api-key: first-secret-key\n"
                               "      - api-key: other-secret-key\n"
                               "        proxy-url: socks5://proxy.example:1080\n";
    struct credential_set *a = credentials_of(text), *b = credentials_of(text);
    int numbered = 0, proxied = 0;

    (void)state;
    assert_int_equal(a->count, 3);
    for (size_t i = 0; i < a->count; i++) {
        const struct credential *c = &a->items[i];

        assert_string_equal(c->id, b->items[i].id);
        assert_ptr_equal(credentials_find(a, c->id), c);
        assert_int_equal(strncmp(c->id, "openai-compatibility:acme:", 26), 0);
        assert_int_equal(strspn(c->id + 26, "0123456789abcdef"), 12);
        numbered += strcmp(c->id + 38, "-1") == 0;
        proxied += c->proxy != NULL;
        assert_string_equal(c->hosts[0].name, "api.acme.example");
        assert_int_equal(c->hosts[0].port, 8443);
        assert_string_equal(c->base_url, "https://API.acme.example:8443/v1");
        assert_null(strstr(c->label, c->secret));
    }
    assert_int_equal(numbered, 1);
    assert_int_equal(proxied, 1);
    assert_null(credentials_find(a, "openai-compatibility:acme:000000000000"));
    credentials_unref(a);
    credentials_unref(b);
}

static void test_a_key_of_an_entry_may_have_a_weight_of_its_own(void **state)
{
    struct credential_set *set = credentials_of("openai-compatibility:\n"
                                                "  - base-url: https://acme.example/v1\n"
                                                "    weight: 2\n"
                                                "    api-key-entries:\n"
                                                "      - {api-key: first-secret, weight: 5}\n"
                                                "      - {api-key: other-secret}\n");
    int own = 0;

    (void)state;
    assert_int_equal(set->count, 2);
    for (size_t i = 0; i < set->count; i++) {
        const struct credential *c = &set->items[i];

        if (strcmp(c->secret, "first-secret") == 0)
            own = (int)c->weight->integer;
        else
            assert_null(c->weight);
    }
    assert_int_equal(own, 5);
    credentials_unref(set);
}

static void test_an_entry_without_keys_is_one_keyless_credential(void **state)
{
    struct credential_set *set = credentials_of("openai-compatibility:\n"
                                                "  - name: local\n"
                                                "    base-url: http://127.0.0.1:1234/v1\n");

    (void)state;
    assert_int_equal(set->count, 1);
    assert_string_equal(set->items[0].secret, "");
    credentials_unref(set);
}

static void test_the_token_of_a_login_in_a_keys_place_is_told_to_scripts(void **state)
{
    struct credential_set *set = credentials_of("claude-api-key:\n"
                                                "  - api-key: sk-ant-oat01-token\n"
                                                "  - api-key: sk-ant-api03-key\n");
    int told = 0;

    (void)state;
    assert_int_equal(set->count, 2);
    for (size_t i = 0; i < set->count; i++) {
        bool is_token = strncmp(set->items[i].secret, "sk-ant-oat", 10) == 0;

        assert_int_equal(set->items[i].details != NULL, is_token);
        told += is_token;
    }
    assert_int_equal(told, 1);
    credentials_unref(set);
}

static void test_the_older_list_of_keys_is_read_and_disabled_entries_are_known(void **state)
{
    struct credential_set *set = credentials_of("openai-compatibility:\n"
                                                "  - name: old\n"
                                                "    base-url: https://old.example/v1\n"
                                                "    api-keys: [one-key-12345, two-key-12345]\n"
                                                "  - name: off\n"
                                                "    disabled: true\n"
                                                "    base-url: https://off.example/v1\n");

    (void)state;
    assert_int_equal(set->count, 3);
    assert_string_equal(set->items[0].name, "off"); // scripts see that it is
    assert_string_equal(set->items[1].name, "old");
    credentials_unref(credentials_ref(set));
    credentials_unref(set);
}

static const struct credential *from(const struct credential_set *set, const char *kind)
{
    for (size_t i = 0; i < set->count; i++)
        if (strncmp(set->items[i].id, kind, strlen(kind)) == 0)
            return &set->items[i];
    return NULL;
}

static void test_keys_of_providers_are_bound_to_their_hosts(void **state)
{
    struct credential_set *set = credentials_of("gemini-api-key:\n"
                                                "  - api-key: gemini-key-1\n"
                                                "    base-url: https://relay.example/g/\n"
                                                "    proxy-url: http://proxy.example:3128\n"
                                                "generative-language-api-key: [gemini-key-2]\n"
                                                "claude-api-key:\n"
                                                "  - api-key: claude-key\n"
                                                "codex-api-key:\n"
                                                "  - api-key: codex-key\n"
                                                "    base-url: https://codex.example/v1\n");
    const struct credential *claude = from(set, "claude:apikey:"), *codex = from(set, "codex:apikey:");
    int relayed = 0, bare = 0;

    (void)state;
    assert_int_equal(set->count, 4);
    assert_non_null(claude);
    assert_string_equal(claude->provider, "claude");
    assert_string_equal(claude->hosts[0].name, "api.anthropic.com");
    assert_string_equal(claude->base_url, "https://api.anthropic.com");
    assert_string_equal(codex->hosts[0].name, "codex.example");
    assert_string_equal(codex->name, "codex");
    for (size_t i = 0; i < set->count; i++) {
        const struct credential *c = &set->items[i];

        if (strcmp(c->provider, "gemini") != 0)
            continue;
        relayed += c->proxy && strcmp(c->hosts[0].name, "relay.example") == 0;
        bare += !c->entry && strcmp(c->hosts[0].name, "generativelanguage.googleapis.com") == 0;
    }
    assert_int_equal(relayed, 1);
    assert_int_equal(bare, 1);
    credentials_unref(set);
}

static void test_the_same_claude_key_at_two_addresses_is_two_credentials(void **state)
{
    struct credential_set *set = credentials_of("claude-api-key:\n"
                                                "  - api-key: one-key\n"
                                                "  - api-key: one-key\n"
                                                "    base-url: https://other.example\n"
                                                "  - api-key: one-key\n");

    (void)state;
    assert_int_equal(set->count, 3);
    for (size_t i = 0; i < set->count; i++)
        assert_ptr_equal(credentials_find(set, set->items[i].id), &set->items[i]);
    credentials_unref(set);
}

static void test_entries_that_cannot_work_are_left_out(void **state)
{
    struct credential_set *set = credentials_of("codex-api-key:\n"
                                                "  - api-key: no-base-url\n"
                                                "claude-api-key:\n"
                                                "  - base-url: https://no-key.example\n");

    (void)state;
    assert_int_equal(set->count, 0);
    credentials_unref(set);
}

static void test_no_entries_make_an_empty_set(void **state)
{
    struct credential_set *set = credentials_of("");

    (void)state;
    assert_int_equal(set->count, 0);
    assert_null(credentials_find(set, "x"));
    credentials_unref(set);
    credentials_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_stable_and_follow_the_parts),
        cmocka_unit_test(test_a_key_of_an_entry_may_have_a_weight_of_its_own),
        cmocka_unit_test(test_an_entry_without_keys_is_one_keyless_credential),
        cmocka_unit_test(test_the_token_of_a_login_in_a_keys_place_is_told_to_scripts),
        cmocka_unit_test(test_the_older_list_of_keys_is_read_and_disabled_entries_are_known),
        cmocka_unit_test(test_keys_of_providers_are_bound_to_their_hosts),
        cmocka_unit_test(test_the_same_claude_key_at_two_addresses_is_two_credentials),
        cmocka_unit_test(test_entries_that_cannot_work_are_left_out),
        cmocka_unit_test(test_no_entries_make_an_empty_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
