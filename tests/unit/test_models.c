/* What /v1/models shows, and which model a request means. */
#include "tests/unit/fake_http.h"

#include "proxy/api/models.h"

/* As the app-server gives it: the default is said, and need not be the first. */
static json_t *
server_list(void)
{
	return json_pack("[{s:s,s:b},{s:s,s:b},{s:i}]", "id", "gpt-a", "isDefault", 0, "id",
	                 "gpt-b", "isDefault", 1, "id", 7);
}

static struct models *
known_models(const char *aliases, const char *default_model)
{
	struct models *m = models_new(aliases, default_model);
	json_auto_t *list = server_list();

	assert_non_null(m);
	assert_true(models_update(m, list));
	return m;
}

/* asked NULL: no model was named. */
static void
assert_resolves(const struct models *m, const char *asked, enum model_answer answer,
                const char *name)
{
	struct conversation *c = conversation_new();

	c->model = asked != NULL ? strdup(asked) : NULL;
	assert_int_equal(models_resolve(m, c), answer);
	if (name == NULL)
		assert_null(c->model);
	else
		assert_string_equal(c->model, name);
	conversation_free(c);
}

static void
nothing_is_known_before_the_first_list(void **state)
{
	struct models *m = models_new("a=gpt-a", NULL);
	struct http_exchange list = {.status = 0}, one = {.status = 0};

	assert_true(models_update(m, NULL));
	assert_false(models_known(m));
	assert_resolves(m, "gpt-a", MODEL_NOT_YET, "gpt-a");
	assert_resolves(m, NULL, MODEL_NOT_YET, NULL);
	models_reply_list(m, &list);
	models_reply_one(m, &one, "gpt-a");
	assert_int_equal(list.status, 503);
	assert_int_equal(one.status, 503);
	assert_string_equal(answer_error(&one, "code"), "backend_unavailable");
	assert_string_equal(one.added, "retry-after: 5\n");
	exchange_fini(&list);
	exchange_fini(&one);
	models_free(m);
	models_free(NULL);
}

static void
names_and_aliases_resolve_to_what_codex_knows(void **state)
{
	struct models *m = known_models("gpt-4o=gpt-b,old=gone,gpt-a=gpt-b", NULL);

	assert_true(models_known(m));
	assert_resolves(m, "gpt-b", MODEL_FOUND, "gpt-b");
	assert_resolves(m, "gpt-4o", MODEL_FOUND, "gpt-b");
	assert_resolves(m, "gpt-a", MODEL_FOUND, "gpt-b"); /* an alias goes before a name */
	assert_resolves(m, "old", MODEL_UNKNOWN, "gone");
	assert_resolves(m, "gpt-c", MODEL_UNKNOWN, "gpt-c");
	assert_resolves(m, NULL, MODEL_FOUND, "gpt-b"); /* the catalog's own default */
	models_free(m);
}

static void
the_configured_default_goes_before_the_catalogs(void **state)
{
	struct models *m = known_models("mine=gpt-a", "mine");

	assert_resolves(m, NULL, MODEL_FOUND, "gpt-a");
	models_free(m);
	m = known_models(NULL, "gone");
	assert_resolves(m, NULL, MODEL_UNKNOWN, "gone");
	models_free(m);
}

static void
a_new_list_replaces_the_old_one_and_no_list_does_not(void **state)
{
	struct models *m = known_models(NULL, NULL);
	json_auto_t *list = json_pack("[{s:s}]", "id", "gpt-new");

	assert_true(models_update(m, NULL));
	assert_resolves(m, "gpt-a", MODEL_FOUND, "gpt-a");
	assert_true(models_update(m, list));
	assert_resolves(m, "gpt-a", MODEL_UNKNOWN, "gpt-a");
	assert_resolves(m, NULL, MODEL_FOUND, "gpt-new"); /* the first, where none is said to be */
	models_free(m);
}

static void
the_list_is_in_the_servers_order_with_aliases_behind(void **state)
{
	struct models *m = known_models("gpt-4o=gpt-b,old=gone,gpt-a=gpt-b", NULL);
	struct http_exchange x = {.status = 0};

	models_reply_list(m, &x);
	assert_int_equal(x.status, 200);
#define MODEL(id) "{\"id\":\"" id "\",\"object\":\"model\",\"created\":0,\"owned_by\":\"openai\"}"
	assert_string_equal(answer_text(&x),
	                    "{\"object\":\"list\",\"data\":[" MODEL("gpt-a") "," MODEL(
				    "gpt-b") "," MODEL("gpt-4o") "]}");
	exchange_fini(&x);
	models_free(m);
}

static void
one_model_is_shown_under_the_name_it_was_asked_for(void **state)
{
	struct models *m = known_models("gpt-4o=gpt-b,old=gone", NULL);
	static const struct {
		const char *id;
		int status;
	} rows[] = {
		{"gpt-a",  200},
                {"gpt-4o", 200},
                {"old",    404},
                {"gpt-c",  404},
                {"\xff",   404}
        };

	for (size_t i = 0; i < NELEM(rows); i++) {
		struct http_exchange x = {.status = 0};

		models_reply_one(m, &x, rows[i].id);
		assert_int_equal(x.status, rows[i].status);
		if (x.status == 404) {
			assert_string_equal(answer_error(&x, "code"), "model_not_found");
			assert_string_equal(answer_error(&x, "param"), "model");
			assert_non_null(strstr(answer_error(&x, "message"), "does not exist"));
		} else {
			assert_non_null(strstr(answer_text(&x), rows[i].id));
		}
		exchange_fini(&x);
	}
	models_free(m);
}

static void
what_codex_says_of_a_model_is_shown(void **state)
{
	struct models *m = models_new("alias=gpt-a", NULL);
	json_auto_t *list = json_pack("[{s:s,s:s,s:s,s:s,s:[s],s:[{s:s},{s:i},{s:s}]}]", "id",
	                              "gpt-a", "displayName", "GPT A", "description", "d",
	                              "defaultReasoningEffort", "low", "inputModalities", "text",
	                              "supportedReasoningEfforts", "reasoningEffort", "low",
	                              "reasoningEffort", 7, "reasoningEffort", "high");
	struct http_exchange x = {.status = 0};

	assert_true(models_update(m, list));
	models_reply_one(m, &x, "alias");
	assert_string_equal(answer_text(&x),
	                    "{\"id\":\"alias\",\"object\":\"model\",\"created\":0,\"owned_by\":"
	                    "\"openai\",\"name\":\"GPT A\",\"description\":\"d\","
	                    "\"default_reasoning_effort\":\"low\",\"supported_reasoning_efforts\":"
	                    "[\"low\",\"high\"],\"input_modalities\":[\"text\"]}");
	exchange_fini(&x);
	models_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_known_before_the_first_list),
		cmocka_unit_test(names_and_aliases_resolve_to_what_codex_knows),
		cmocka_unit_test(the_configured_default_goes_before_the_catalogs),
		cmocka_unit_test(a_new_list_replaces_the_old_one_and_no_list_does_not),
		cmocka_unit_test(the_list_is_in_the_servers_order_with_aliases_behind),
		cmocka_unit_test(one_model_is_shown_under_the_name_it_was_asked_for),
		cmocka_unit_test(what_codex_says_of_a_model_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
