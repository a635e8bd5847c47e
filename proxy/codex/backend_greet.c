/* backend_greet: what an app-server is asked before it is used: who it is, whether it lacks a
 * login, which models it has. */
#include <string.h>

#include "common/log.h"
#include "proxy/codex/backend_internal.h"

#define CALL_TIMEOUT_MS   10000
/* Codex learns of new models while it runs. */
#define MODELS_REFRESH_MS 600000
/* Pages of the model list; it has one. */
#define MODEL_PAGES_MAX   50

static void ask_models(struct backend *b, const char *cursor);

/* --- the models ----------------------------------------------------------------------------- */

static void
on_sweep(uv_timer_t *timer)
{
	struct backend *b = timer->data;

	if (b->state == BACKEND_USABLE)
		sweep_look(&b->sweep, b->rpc);
}

static void
on_refresh(uv_timer_t *timer)
{
	struct backend *b = timer->data;

	if (b->state == BACKEND_USABLE && b->call == 0)
		ask_models(b, NULL);
}

static void
refresh_later(struct backend *b)
{
	(void)uv_timer_start(&b->timer, on_refresh, MODELS_REFRESH_MS, 0); /* a live handle */
}

static void
take_models(struct backend *b)
{
	struct backend_pool *pool = b->pool;
	bool first = b->state == BACKEND_LISTING;
	bool same = json_equal(pool->models, b->models) == 1;

	if (!same) {
		json_decref(pool->models);
		pool->models = json_incref(b->models);
	}
	refresh_later(b);
	if (!first) {
		if (!same)
			backend_pool_changed(pool);
		return;
	}
	log_info("app-server %d: connected, %zu models", b->id, json_array_size(b->models));
	backoff_reset(&b->backoff);
	sweep_reclaim(&b->sweep, b->rpc);
	(void)uv_timer_start(&b->sweep_timer, on_sweep, pool->config.sweep_interval_ms,
	                     pool->config.sweep_interval_ms);
	backend_set_state(b, BACKEND_USABLE, "");
}

static void
on_models(void *arg, json_t *result, const struct rpc_error *error)
{
	struct backend *b = arg;
	json_t *page = json_get_array(result, "data");
	const char *cursor = json_get_string(result, "nextCursor");

	b->call = 0;
	if (error != NULL || page == NULL) {
		if (b->state == BACKEND_LISTING)
			backend_break_off(b, error != NULL ? error->message : "no model list");
		else
			refresh_later(b);
		return;
	}
	if (json_array_extend(b->models, page) != 0) {
		backend_break_off(b, "out of memory for the model list");
		return;
	}
	if (cursor != NULL && ++b->pages < MODEL_PAGES_MAX)
		ask_models(b, cursor);
	else
		take_models(b);
}

/* cursor NULL: from the beginning. */
static void
ask_models(struct backend *b, const char *cursor)
{
	json_auto_t *params = json_pack("{s:s*}", "cursor", cursor);
	size_t len = 0;
	AUTO_FREE char *text = json_to_text(params, &len);

	if (cursor == NULL) {
		json_decref(b->models);
		b->models = json_array();
		b->pages = 0;
	}
	if (text != NULL && b->models != NULL)
		b->call = rpc_call(b->rpc, "model/list", text, len, CALL_TIMEOUT_MS, on_models, b);
	if (b->call != 0)
		return;
	if (b->state == BACKEND_LISTING)
		backend_break_off(b, "the model list could not be asked for");
	else
		refresh_later(b);
}

/* --- the login ------------------------------------------------------------------------------ */

static void
take_login(struct backend *b, bool needed)
{
	if (needed == b->needs_login)
		return;
	b->needs_login = needed;
	if (needed)
		log_warning("app-server %d has no login, and its provider needs one", b->id);
	else
		log_info("app-server %d has a login now", b->id);
	if (b->state == BACKEND_USABLE)
		backend_pool_changed(b->pool);
}

static void
go_on_to_models(struct backend *b)
{
	if (b->state == BACKEND_LISTING && b->call == 0)
		ask_models(b, NULL);
}

static void
on_account(void *arg, json_t *result, const struct rpc_error *error)
{
	struct backend *b = arg;

	b->login_call = 0;
	if (error == NULL) /* else its turns will tell */
		take_login(b, json_get_bool(result, "requiresOpenaiAuth", false) &&
		                      json_is_null(json_object_get(result, "account")));
}

static void
on_auth_status(void *arg, json_t *result, const struct rpc_error *error)
{
	struct backend *b = arg;

	b->login_call = 0;
	if (error != NULL && error->code == RPC_LOST)
		return; /* on_closed follows */
	if (error == NULL)
		take_login(b, json_get_bool(result, "requiresOpenaiAuth", false) &&
		                      json_is_null(json_object_get(result, "authMethod")));
	else if (error->code != RPC_TIMEOUT) /* 0: not taken, its turns will tell */
		b->login_call =
			rpc_call(b->rpc, "account/read", "{}", 2, CALL_TIMEOUT_MS, on_account, b);
	go_on_to_models(b);
}

/* getAuthStatus is in codex's types, but not in its schema: it may go one day. account/read would
 * do, but asks the network about a ChatGPT login: nobody waits for its answer. */
void
backend_ask_login(struct backend *b)
{
	static const char params[] = "{\"includeToken\":false,\"refreshToken\":false}";

	if (b->login_call != 0)
		rpc_abandon(b->rpc, b->login_call);
	b->login_call = rpc_call(b->rpc, "getAuthStatus", params, sizeof(params) - 1,
	                         CALL_TIMEOUT_MS, on_auth_status, b);
	if (b->login_call == 0)
		go_on_to_models(b);
}

/* --- the beginning -------------------------------------------------------------------------- */

static void
on_initialized(void *arg, json_t *result, const struct rpc_error *error)
{
	struct backend *b = arg;

	b->call = 0;
	if (error != NULL) {
		backend_break_off(b, error->message);
		return;
	}
	rpc_notify(b->rpc, "initialized");
	backend_set_state(b, BACKEND_LISTING, "the model list is not known yet");
	backend_ask_login(b); /* first: no turn shall meet what only a login can mend */
}

/* What we have no use for is not sent to us. */
static json_t *
unwanted_notifications(bool transcript)
{
	static const char *const names[] = {
		"thread/started",
		"thread/settings/updated",
		"thread/status/changed",
		"warning",
		"configWarning",
		"remoteControl/status/changed",
		"item/completed",
		"item/reasoning/summaryPartAdded",
		"item/reasoning/textDelta",
		"item/commandExecution/outputDelta",
		"turn/diff/updated",
		"turn/plan/updated",
	};
	json_t *list = json_array();

	for (size_t i = 0; i < NELEM(names); i++)
		/* raw events would say it better, but there are none then */
		if (!transcript || strcmp(names[i], "item/completed") != 0)
			json_put_item(&list, json_string(names[i]));
	return list;
}

/* NULL: no memory. */
static json_t *
initialize_params(const struct backend_pool_config *config)
{
	json_t *capabilities =
		json_pack("{s:b,s:o}", "requestAttestation", 0, "optOutNotificationMethods",
	                  unwanted_notifications(config->transcript));

	if (!config->transcript)
		json_put(&capabilities, "experimentalApi", json_true());
	return json_pack("{s:{s:s,s:n,s:s},s:o}", "clientInfo", "name", "codex-sidecar", "title",
	                 "version", config->client_version, "capabilities", capabilities);
}

void
backend_greet(struct backend *b)
{
	json_auto_t *params = initialize_params(&b->pool->config);
	size_t len = 0;
	AUTO_FREE char *text = json_to_text(params, &len);

	backend_set_state(b, BACKEND_GREETING, "it has not answered initialize yet");
	if (text != NULL)
		b->call = rpc_call(b->rpc, "initialize", text, len, CALL_TIMEOUT_MS, on_initialized,
		                   b);
	if (b->call == 0)
		backend_break_off(b, "initialize could not be sent");
}
