/* api_fixture: the whole of proxy/api over exchanges and backends that the test plays. */
#ifndef SIDECAR_TESTS_API_FIXTURE_H
#define SIDECAR_TESTS_API_FIXTURE_H

#include "tests/unit/fake_backend.h"
#include "tests/unit/fake_clock.h"
#include "tests/unit/fake_http.h"

#include "common/log.h"
#include "proxy/api/api.h"

#define HEADER_DELAY_MS 1000
#define KEEPALIVE_MS    15000
#define RESPONSE_MAX    1000
#define STORE_BYTES     100000
#define CHAT            "/v1/chat/completions"

static uv_loop_t loop;
static struct settings settings;
static struct api api;
static char api_key[] = "key";
static const char *not_ready; /* NULL: ready */

static inline void
readiness(void *arg, struct api_readiness *out)
{
	*out = (struct api_readiness){.ready = not_ready == NULL};
	if (not_ready != NULL)
		(void)snprintf(out->reasons[out->reason_count++], sizeof(out->reasons[0]), "%s",
		               not_ready);
}

static inline enum model_answer
resolve_model(void *arg, struct conversation *c)
{
	return models_resolve(api.models, c);
}

static inline int
setup(void **state)
{
	struct turns_config config = {
		.loop = &loop,
		.max_running = 2,
		.max_waiting = 2,
		.queue_timeout_ms = 5000,
		.total_timeout_ms = 100000,
		.first_event_timeout_ms = 60000,
		.idle_timeout_ms = 60000,
		.resolve_model = resolve_model,
	};
	json_auto_t *list = json_pack("[{s:s},{s:s}]", "id", "gpt-a", "id", "gpt-b");

	log_init("test", LOG_LEVEL_ERROR, LOG_FORMAT_JSON);
	codex_reset();
	not_ready = NULL;
	if (uv_loop_init(&loop) != 0)
		return -1;
	settings = (struct settings){.api_key = api_key,
	                             .sse_header_delay_ms = HEADER_DELAY_MS,
	                             .keepalive_ms = KEEPALIVE_MS,
	                             .max_response_bytes = RESPONSE_MAX};
	api = (struct api){.loop = &loop, .settings = &settings, .readiness = readiness};
	api.models = models_new("gpt-4o=gpt-b", NULL);
	assert_true(models_update(api.models, list));
	api.turns = turns_new(&config);
	api.responses = response_store_new(STORE_BYTES);
	return auth_new(&api.auth, &settings, NULL);
}

static inline int
teardown(void **state)
{
	run_loop(&loop);
	if (codex.threads != NULL || uv_loop_alive(&loop))
		return -1;
	turns_free(api.turns);
	models_free(api.models);
	response_store_free(api.responses);
	auth_free(api.auth);
	return uv_loop_close(&loop);
}

/* A request of one who has the key. */
static inline void
request_make(struct http_exchange *x, enum http_method method, const char *path, const char *body)
{
	*x = (struct http_exchange){.method = method, .path = path, .body = body};
	x->headers[HTTP_AUTHORIZATION] = "Bearer key";
}

/* As the server does: the head, then the whole. */
static inline void
request_run(struct http_exchange *x)
{
	int refused = api_handlers.on_head(&api, x);

	assert_int_equal(refused, x->status);
	if (refused == 0)
		api_handlers.on_request(&api, x);
	run_loop(&loop);
}

/* The exchange is over. */
static inline void
request_done(struct http_exchange *x)
{
	api_handlers.on_done(&api, x, x->ended);
	exchange_fini(x);
	run_loop(&loop);
}

/* What the model says next. */
static inline void
codex_calls(unsigned index, const char *arguments)
{
	codex_says((struct event){
		.kind = EVENT_TOOL_CALL,
		.tool_call = {.index = index,
	                      .call_id = index == 0 ? "c0" : "c1",
	                      .name = "f",
	                      .arguments = arguments,
	                      .arguments_len = strlen(arguments)}
        });
}

static inline void
codex_says_more(enum event_kind kind, const char *text, unsigned item, enum message_phase phase)
{
	codex_says((struct event){
		.kind = kind,
		.text = {.escaped = text, .len = strlen(text), .item = item, .phase = phase}
        });
}

static inline void
codex_uses(int64_t tokens)
{
	codex_says((struct event){
		.kind = EVENT_USAGE, .usage = {.input_tokens = tokens, .total_tokens = tokens}
        });
}

#define with_api(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
