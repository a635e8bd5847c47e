/* responses_output: the events of a turn become the items of a response, and the events of its
 * stream. */
#include "proxy/api/responses_internal.h"

#include <stdio.h>
#include <string.h>

#include "proxy/api/responses_tools.h"

/* --- events ---------------------------------------------------------------------------------- */

static bool
emit(struct responses *r, json_t *event)
{
	AUTO_FREE char *text = NULL;
	char type[96];
	size_t len = 0;
	int n;

	if (json_object_set_new(event, "sequence_number", json_integer((json_int_t)r->sequence)) ==
	    0)
		text = json_to_text(event, &len);
	if (text == NULL)
		return false;
	r->sequence++;
	n = snprintf(type, sizeof(type),
	             "event: %s\ndata: ", json_string_value(json_object_get(event, "type")));
	/* a client cut off is told by on_done */
	(void)sse_write(r->sse, type, (size_t)n, text, len, "\n\n", 2);
	return true;
}

bool
responses_emit(struct responses *r, json_t *event)
{
	bool made = event != NULL && (r->sse == NULL || emit(r, event));

	r->no_memory |= !made;
	json_decref(event);
	return made;
}

void
responses_begin(struct responses *r)
{
	if (r->begun || r->sse == NULL)
		return;
	r->begun = true;
	sse_open(r->sse);
	(void)responses_emit(
		r, json_pack("{s:s,s:O}", "type", "response.created", "response", r->head));
	(void)responses_emit(
		r, json_pack("{s:s,s:O}", "type", "response.in_progress", "response", r->head));
}

/* From now on part of the answer has been read, if it is a stream. */
static void
commit(struct responses *r)
{
	responses_begin(r);
	if (r->sse != NULL && r->turn != NULL)
		turn_commit(r->turn);
}

static unsigned
output_index(const struct responses *r)
{
	return (unsigned)json_array_size(r->output);
}

/* item: taken over. */
static void
emit_item(struct responses *r, const char *type, json_t *item)
{
	if (r->sse != NULL)
		(void)responses_emit(r, json_pack("{s:s,s:i,s:o}", "type", type, "output_index",
		                                  (int)output_index(r), "item", item));
	else
		json_decref(item);
}

/* An event about a part of the item with this id; name, value: taken over, its last member. */
static void
emit_part(struct responses *r, const char *type, const char *id, const char *index_name,
          const char *name, json_t *value)
{
	json_t *event = NULL;

	if (r->sse == NULL) {
		json_decref(value);
		return;
	}
	event = json_pack("{s:s,s:s,s:i,s:o}", "type", type, "item_id", id, "output_index",
	                  (int)output_index(r), name, value);
	if (index_name != NULL)
		json_put(&event, index_name,
		         json_integer((json_int_t)json_array_size(r->open.summary)));
	(void)responses_emit(r, event);
}

static json_t *
empty_logprobs(json_t *event)
{
	json_put(&event, "logprobs", json_array());
	return event;
}

/* --- the open item --------------------------------------------------------------------------- */

/* What stands before each delta: everything but its text and number. */
static void
make_frame(struct responses *r)
{
	struct open_item *o = &r->open;
	bool message = o->kind == OPEN_MESSAGE;
	const char *type =
		message ? "response.output_text.delta" : "response.reasoning_summary_text.delta";
	char text[384];
	int n;

	if (r->sse == NULL)
		return;
	o->frame.len = 0;
	n = snprintf(text, sizeof(text),
	             "event: %s\ndata: {\"type\":\"%s\",\"item_id\":\"%s\",\"output_index\":%u,"
	             "%s%zu,%s\"delta\":\"",
	             type, type, o->id, output_index(r),
	             message ? "\"content_index\":" : "\"summary_index\":",
	             json_array_size(o->summary), message ? "\"logprobs\":[]," : "");
	json_buf_append(&o->frame, text, (size_t)n);
	r->no_memory |= o->frame.failed;
}

static const char *
phase_name(enum message_phase phase)
{
	switch (phase) {
	case PHASE_FINAL:
		return "final_answer";
	case PHASE_COMMENTARY:
		return "commentary";
	case PHASE_UNSAID:
		break;
	}
	return NULL;
}

/* content: taken over. */
static json_t *
message_item(const struct responses *r, const char *status, json_t *content)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s*,s:o}", "id", r->open.id, "type", "message",
	                 "status", status, "role", "assistant", "phase", phase_name(r->open.phase),
	                 "content", content);
}

/* text: taken over. */
static json_t *
text_content(json_t *text)
{
	return json_pack("{s:s,s:[],s:[],s:o}", "type", "output_text", "annotations", "logprobs",
	                 "text", text);
}

static void
open_message(struct responses *r, const struct event *event)
{
	struct open_item *o = &r->open;

	o->kind = OPEN_MESSAGE;
	o->source = event->text.item;
	o->phase = event->text.phase;
	responses_item_id(o->id, "msg", r->id, output_index(r));
	emit_item(r, "response.output_item.added", message_item(r, "in_progress", json_array()));
	emit_part(r, "response.content_part.added", o->id, "content_index", "part",
	          text_content(json_string("")));
	make_frame(r);
}

static void
open_reasoning(struct responses *r)
{
	struct open_item *o = &r->open;

	o->kind = OPEN_REASONING;
	o->summary = json_array();
	responses_item_id(o->id, "rs", r->id, output_index(r));
	emit_item(r, "response.output_item.added",
	          json_pack("{s:s,s:s,s:[]}", "id", o->id, "type", "reasoning", "summary"));
}

static json_t *
summary_part(json_t *text)
{
	return json_pack("{s:s,s:o}", "type", "summary_text", "text", text);
}

static void
open_part(struct responses *r, unsigned source)
{
	struct open_item *o = &r->open;

	o->part_open = true;
	o->source = source;
	emit_part(r, "response.reasoning_summary_part.added", o->id, "summary_index", "part",
	          summary_part(json_string("")));
	make_frame(r);
}

/* The text of the part that is open; from now on it is empty. NULL: no memory. */
static json_t *
take_text(struct responses *r)
{
	json_t *text = answer_text(&r->open.text);

	r->open.text.len = 0;
	if (!json_is_null(text))
		return text;
	json_decref(text);
	return json_string("");
}

static void
close_part(struct responses *r)
{
	struct open_item *o = &r->open;
	json_auto_t *text = NULL;
	json_t *part;

	if (!o->part_open)
		return;
	o->part_open = false;
	text = take_text(r);
	part = summary_part(json_incref(text));
	emit_part(r, "response.reasoning_summary_text.done", o->id, "summary_index", "text",
	          json_incref(text));
	emit_part(r, "response.reasoning_summary_part.done", o->id, "summary_index", "part",
	          json_incref(part));
	r->no_memory |= json_array_append_new(o->summary, part) != 0;
}

/* item: taken over; kept: the same with all that leads on from it, taken over. */
static void
complete_item(struct responses *r, json_t *item, json_t *kept)
{
	if (item != NULL)
		emit_item(r, "response.output_item.done", json_incref(item));
	r->no_memory |= json_array_append_new(r->output, item) != 0;
	r->no_memory |= json_array_append_new(r->history, kept) != 0;
}

static void
close_message(struct responses *r, bool whole)
{
	struct open_item *o = &r->open;
	struct json_buf said = o->text;
	json_auto_t *text = take_text(r);
	json_t *item;

	if (r->sse != NULL)
		(void)responses_emit(
			r, empty_logprobs(json_pack("{s:s,s:s,s:i,s:i,s:O}", "type",
		                                    "response.output_text.done", "item_id", o->id,
		                                    "output_index", (int)output_index(r),
		                                    "content_index", 0, "text", text)));
	emit_part(r, "response.content_part.done", o->id, "content_index", "part",
	          text_content(json_incref(text)));
	item = message_item(r, whole ? "completed" : "incomplete",
	                    json_pack("[o]", text_content(json_incref(text))));
	complete_item(r, item, json_incref(item));
	if (o->phase == PHASE_COMMENTARY)
		return;
	o->text = r->said; /* its memory is used again */
	o->text.len = 0;
	r->said = said;
}

/* encrypted: "" where there is none. */
static void
close_reasoning(struct responses *r, const char *encrypted)
{
	struct open_item *o = &r->open;
	json_auto_t *whole = NULL;
	json_t *shown;

	close_part(r);
	whole = json_pack("{s:s,s:s,s:o,s:s*}", "id", o->id, "type", "reasoning", "summary",
	                  o->summary, "encrypted_content", encrypted[0] != '\0' ? encrypted : NULL);
	o->summary = NULL;
	shown = json_copy_whole(whole);
	if (!r->request.encrypted)
		(void)json_object_del(shown, "encrypted_content");
	complete_item(r, shown, json_incref(whole));
}

void
responses_close_item(struct responses *r, bool whole)
{
	switch (r->open.kind) {
	case OPEN_NONE:
		return;
	case OPEN_MESSAGE:
		close_message(r, whole);
		break;
	case OPEN_REASONING:
		close_reasoning(r, "");
		break;
	}
	r->open.kind = OPEN_NONE;
}

/* --- what the turn says ---------------------------------------------------------------------- */

/* Is there room for so much more of an answer? False: it has been given up. */
static bool
grow(struct responses *r, size_t len)
{
	struct failure failure;

	r->size += len;
	if (r->size <= (size_t)r->api->settings->max_response_bytes)
		return true;
	failure_set(&failure, FAILURE_RESPONSE_TOO_LARGE,
	            "The answer is longer than this server allows.");
	responses_fail(r, &failure);
	return false;
}

/* Opens the item, and its part, that the text belongs to. */
static void
open_for(struct responses *r, const struct event *event)
{
	struct open_item *o = &r->open;
	bool same = o->source == event->text.item;

	if (event->kind == EVENT_TEXT) {
		if (o->kind == OPEN_MESSAGE && same)
			return;
		responses_close_item(r, true);
		open_message(r, event);
		return;
	}
	if (o->kind != OPEN_REASONING) {
		responses_close_item(r, true);
		open_reasoning(r);
	} else if (o->part_open && !same) {
		close_part(r);
	}
	if (!o->part_open)
		open_part(r, event->text.item);
}

void
responses_on_text(struct responses *r, const struct event *event)
{
	const char *escaped = event->text.escaped;
	size_t len = event->text.len;
	char after[48];
	int n;

	if (len == 0 || !grow(r, len))
		return;
	commit(r);
	open_for(r, event);
	json_buf_append(&r->open.text, escaped, len);
	r->no_memory |= r->open.text.failed;
	if (r->sse == NULL || r->no_memory)
		return;
	n = snprintf(after, sizeof(after), "\",\"sequence_number\":%u}\n\n", r->sequence++);
	(void)sse_write(r->sse, r->open.frame.data, r->open.frame.len, escaped, len, after,
	                (size_t)n); /* a client cut off is told by on_done */
}

void
responses_on_reasoned(struct responses *r, const char *encrypted)
{
	if ((r->open.kind != OPEN_REASONING && encrypted[0] == '\0') || !grow(r, strlen(encrypted)))
		return;
	commit(r);
	if (r->open.kind != OPEN_REASONING) {
		responses_close_item(r, true);
		open_reasoning(r);
	}
	close_reasoning(r, encrypted);
	r->open.kind = OPEN_NONE;
}

/* member: what of the item is said in it. */
static void
emit_call_done(struct responses *r, const char *id, const json_t *item, const char *member)
{
	bool custom = strcmp(member, "input") == 0;
	json_t *event;

	if (r->sse == NULL)
		return;
	event = json_pack("{s:s,s:s,s:i,s:O}", "type",
	                  custom ? "response.custom_tool_call_input.done"
	                         : "response.function_call_arguments.done",
	                  "item_id", id, "output_index", (int)output_index(r), member,
	                  json_object_get(item, member));
	if (!custom)
		json_put(&event, "name", json_incref(json_object_get(item, "name")));
	(void)responses_emit(r, event);
}

void
responses_on_call(struct responses *r, const struct event *event)
{
	json_auto_t *item = responses_call_item(r->request.tools, event);
	const char *type = json_get_string(item, "type");
	bool custom = type != NULL && strcmp(type, "custom_tool_call") == 0;
	const char *member = custom ? "input" : "arguments";
	json_t *said = json_object_get(item, member);
	json_auto_t *begun = NULL;
	char id[RESPONSES_ID_MAX];

	if (r->request.base.single_tool_call && r->calls > 0)
		return;
	if (!grow(r, event->tool_call.arguments_len))
		return;
	r->calls++;
	commit(r);
	responses_close_item(r, true);
	responses_item_id(id, custom ? "ctc" : "fc", r->id, output_index(r));
	r->no_memory |= json_object_set_new(item, "id", json_string(id)) != 0;
	begun = json_copy_whole(item);
	json_put(&begun, member, json_string(""));
	if (!custom) {
		json_put(&begun, "status", json_string("in_progress"));
		r->no_memory |= json_object_set_new(item, "status", json_string("completed")) != 0;
	}
	emit_item(r, "response.output_item.added", json_incref(begun));
	if (json_string_length(said) > 0)
		emit_part(r,
		          custom ? "response.custom_tool_call_input.delta"
		                 : "response.function_call_arguments.delta",
		          id, NULL, "delta", json_incref(said));
	emit_call_done(r, id, item, member);
	complete_item(r, json_incref(item), json_incref(item));
}

static json_t *
refusal_content(const char *words)
{
	return json_pack("{s:s,s:s}", "type", "refusal", "refusal", words);
}

/* value: what the event says under this name; taken over. */
static void
emit_content(struct responses *r, const char *type, const char *name, json_t *value)
{
	emit_part(r, type, r->open.id, "content_index", name, value);
}

void
responses_add_refusal(struct responses *r)
{
	json_t *item;

	responses_close_item(r, true);
	r->open.phase = PHASE_UNSAID;
	responses_item_id(r->open.id, "msg", r->id, output_index(r));
	emit_item(r, "response.output_item.added", message_item(r, "in_progress", json_array()));
	emit_content(r, "response.content_part.added", "part", refusal_content(""));
	emit_content(r, "response.refusal.delta", "delta", json_string(ANSWER_REFUSAL));
	emit_content(r, "response.refusal.done", "refusal", json_string(ANSWER_REFUSAL));
	emit_content(r, "response.content_part.done", "part", refusal_content(ANSWER_REFUSAL));
	item = message_item(r, "completed", json_pack("[o]", refusal_content(ANSWER_REFUSAL)));
	complete_item(r, item, json_incref(item));
}

static void
drop_open(struct responses *r)
{
	r->open.kind = OPEN_NONE;
	r->open.part_open = false;
	r->open.text.len = 0;
	json_decref(r->open.summary);
	r->open.summary = NULL;
}

void
responses_reset(struct responses *r)
{
	drop_open(r);
	(void)json_array_clear(r->output); /* an array */
	(void)json_array_clear(r->history);
	r->said.len = 0;
	r->calls = 0;
	r->size = 0;
	r->usage = (struct usage){0};
}

bool
responses_output_init(struct responses *r)
{
	r->output = json_array();
	r->history = json_array();
	return r->output != NULL && r->history != NULL;
}

void
responses_output_fini(struct responses *r)
{
	drop_open(r);
	json_decref(r->output);
	json_decref(r->history);
	json_buf_free(&r->open.text);
	json_buf_free(&r->open.frame);
	json_buf_free(&r->said);
}
