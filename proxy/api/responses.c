/* responses: POST /v1/responses, from the request's body to the last byte of its answer. */
#include "proxy/api/responses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/api/abilities.h"
#include "proxy/api/errors.h"
#include "proxy/api/responses_internal.h"

static void
end_stream(struct responses *r, json_t *event)
{
	char text[256];
	int n;

	if (!responses_emit(r, event)) {
		/* What a client of the official library takes for the end of a response, too. */
		n = snprintf(text, sizeof(text),
		             "event: error\ndata: {\"type\":\"error\",\"code\":\"internal_error\","
		             "\"message\":\"Out of memory.\",\"param\":null,\"sequence_number\":%u}"
		             "\n\n",
		             r->sequence);
		(void)sse_write(r->sse, text, (size_t)n, NULL, 0, NULL, 0);
	}
	sse_end(r->sse);
}

/* In the stream first what it is, for those who only look for an error; then the response. */
static void
tell_failure(struct responses *r, const struct failure *failure, const struct api_error *error)
{
	(void)responses_emit(
		r,
		json_pack("{s:s,s:o,s:o,s:o}", "type", "error", "code",
	                  error->code[0] != '\0' ? json_string_lossy(error->code) : json_null(),
	                  "message", json_string_lossy(error->message), "param",
	                  error->param[0] != '\0' ? json_string_lossy(error->param) : json_null()));
	end_stream(r, json_pack("{s:s,s:o}", "type", "response.failed", "response",
	                        responses_failed(r->head, failure, error, r->output)));
}

static void
reply_error(struct responses *r, const struct api_error *error)
{
	sse_free(r->sse); /* or its delay would begin a stream after the answer */
	r->sse = NULL;
	r->over = true;
	api_error_reply(r->x, error);
}

void
responses_fail(struct responses *r, const struct failure *failure)
{
	struct turn *turn = r->turn;
	struct api_error error;

	r->turn = NULL;
	if (turn != NULL)
		turn_cancel(turn);
	if (r->over)
		return;
	r->outcome = failure_kind_name(failure->kind);
	api_error_from_failure(&error, failure);
	if (r->sse == NULL || !sse_is_open(r->sse)) {
		reply_error(r, &error);
		return;
	}
	r->over = true;
	tell_failure(r, failure, &error);
}

static void
fail_without_memory(struct responses *r)
{
	struct failure failure;

	failure_set(&failure, FAILURE_INTERNAL, "Out of memory.");
	responses_fail(r, &failure);
}

/* response: as the caller gets it. What leads on from it has its reasoning in full. */
static void
keep(struct responses *r, const json_t *response)
{
	if (!r->request.store || json_array_extend(r->request.history, r->history) != 0)
		return;
	response_store_put(r->api->responses, http_caller(r->x), response, r->request.history);
}

static void
finish(struct responses *r, enum finish_reason reason)
{
	bool whole = responses_is_whole(reason);
	json_t *response;

	responses_begin(r);
	responses_close_item(r, whole);
	if (reason == FINISH_REFUSED)
		responses_add_refusal(r);
	response = responses_finished(r->head, reason, r->output, &r->usage);
	if (response == NULL || r->no_memory) {
		json_decref(response);
		fail_without_memory(r);
		return;
	}
	r->over = true;
	r->outcome = answer_finish_name(reason);
	keep(r, response);
	if (r->sse == NULL)
		answer_json(r->x, response);
	else
		end_stream(r, json_pack("{s:s,s:o}", "type",
		                        whole ? "response.completed" : "response.incomplete",
		                        "response", response));
}

static void
on_finished(struct responses *r, enum finish_reason reason)
{
	struct failure failure;

	r->turn = NULL;
	if (reason == FINISH_STOP) {
		responses_close_item(r, true); /* to know all that was said */
		if (answer_breaks_promise(&r->request.base, r->calls > 0, &r->said, &failure)) {
			responses_fail(r, &failure);
			return;
		}
	}
	finish(r, reason);
}

static void
on_event(void *arg, const struct event *event)
{
	struct responses *r = arg;

	access_note(&r->base.access, event);
	switch (event->kind) {
	case EVENT_ADMITTED:
		if (r->sse != NULL)
			sse_start_delay(r->sse);
		break;
	case EVENT_RESTARTED:
		responses_reset(r);
		break;
	case EVENT_MODEL:
		responses_set_model(r->head, event->model);
		break;
	case EVENT_STARTED:
		responses_begin(r);
		break;
	case EVENT_TEXT:
	case EVENT_REASONING:
		responses_on_text(r, event);
		break;
	case EVENT_REASONED:
		responses_on_reasoned(r, event->reasoned.encrypted);
		break;
	case EVENT_TOOL_CALL:
		responses_on_call(r, event);
		break;
	case EVENT_USAGE:
		r->usage = event->usage;
		break;
	case EVENT_FINISHED:
		on_finished(r, event->finish);
		break;
	case EVENT_FAILED:
		r->turn = NULL;
		responses_fail(r, event->failure);
		break;
	}
	if (r->no_memory && !r->over)
		fail_without_memory(r);
}

/* The exchange is over, whoever ended it. */
static void
on_done(struct api_request *base, bool complete)
{
	struct responses *r = (struct responses *)base;
	const char *model = r->head != NULL ? json_get_string(r->head, "model") : NULL;

	if (r->turn != NULL) {
		turn_cancel(r->turn);
		r->outcome = "cancelled";
	}
	access_log(r->api, r->x, "/v1/responses", model, r->outcome, &r->usage);
	sse_free(r->sse);
	responses_output_fini(r);
	responses_request_fini(&r->request);
	json_decref(r->head);
	free(r);
}

static void
on_headers_due(void *arg)
{
	responses_begin(arg);
}

static bool
submit(struct responses *r)
{
	struct api *api = r->api;
	struct conversation *conversation = r->request.base.conversation;

	answer_id(r->id);
	r->head = responses_head(&r->request, r->id);
	if (r->head == NULL || !responses_output_init(r))
		return false;
	if (r->request.base.stream) {
		r->sse = sse_new(api->loop, r->x, (uint64_t)api->settings->sse_header_delay_ms,
		                 (uint64_t)api->settings->keepalive_ms, on_headers_due, r);
		if (r->sse == NULL)
			return false;
	}
	r->request.base.conversation = NULL; /* the turn's now */
	r->turn = turn_submit(api->turns, conversation, (unsigned)http_caller(r->x), on_event, r);
	return r->turn != NULL;
}

static bool
parse(struct responses *r, const char *body, size_t len, struct api_error *error)
{
	const struct settings *settings = r->api->settings;

	return responses_request_parse(&r->request, body, len, settings->default_effort,
	                               r->api->responses, http_caller(r->x), error) &&
	       abilities_check(settings, r->request.base.conversation, "tools", error);
}

void
responses_handle(struct api *api, struct http_exchange *x)
{
	struct responses *r = calloc(1, sizeof(*r));
	struct api_error error;
	const char *body;
	size_t len;

	api_error_out_of_memory(&error);
	if (r == NULL) {
		api_error_reply(x, &error);
		return;
	}
	r->base.on_done = on_done;
	r->api = api;
	r->x = x;
	r->outcome = "internal_error";
	http_set_data(x, r);
	body = http_body(x, &len);
	if (!parse(r, body, len, &error)) {
		r->outcome = "invalid_request";
		reply_error(r, &error);
		return;
	}
	http_body_release(x);
	answer_tell_ignored(x, &r->request.base);
	if (!submit(r))
		reply_error(r, &error);
}
