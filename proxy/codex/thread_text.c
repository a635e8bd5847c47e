/* thread_text: what the model says in a turn: its messages and its reasoning, each said once. */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "proxy/codex/thread_internal.h"

/* Bytes of one message that is held back; more than any answer may have by default. */
#define HELD_MAX ((size_t)8 << 20)

/* --- items ----------------------------------------------------------------------------------- */

static struct thread_item *
find_item(struct thread *t, const char *id, size_t len)
{
	/* It is nearly always the last one. */
	for (size_t i = t->item_count; i > 0; i--) {
		struct thread_item *item = &t->items[i - 1];

		if (strncmp(item->id, id, len) == 0 && item->id[len] == '\0')
			return item;
	}
	return NULL;
}

enum message_phase
thread_phase(const char *name, size_t len)
{
	static const char commentary[] = "commentary";

	if (name == NULL)
		return PHASE_UNSAID;
	return len == sizeof(commentary) - 1 && memcmp(name, commentary, len) == 0
	               ? PHASE_COMMENTARY
	               : PHASE_FINAL;
}

/* NULL: the thread has failed. */
static struct thread_item *
add_item(struct thread *t, const char *id, size_t len, enum message_phase phase)
{
	struct thread_item *item;

	if (t->item_count == ITEMS_MAX) {
		thread_fail_with(t, FAILURE_BACKEND_ERROR,
		                 "Codex sent more messages than make sense.");
		return NULL;
	}
	if (t->item_count == t->item_cap) {
		size_t cap = t->item_cap == 0 ? 2 : t->item_cap * 2;
		struct thread_item *grown = realloc(t->items, cap * sizeof(*grown));

		if (grown == NULL) {
			thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
			return NULL;
		}
		t->items = grown;
		t->item_cap = cap;
	}
	item = &t->items[t->item_count];
	*item = (struct thread_item){
		.id = strndup(id, len), .index = (unsigned)t->item_count, .phase = phase};
	if (item->id == NULL) {
		thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
		return NULL;
	}
	t->item_count++;
	return item;
}

static enum message_phase
phase_of(const json_t *item)
{
	const char *phase = json_get_string(item, "phase");

	return thread_phase(phase, phase != NULL ? strlen(phase) : 0);
}

/* The first of the current response that is not whole yet. */
static struct thread_item *
first_open_item(struct thread *t)
{
	for (size_t i = t->response_items; i < t->item_count; i++)
		if (!t->items[i].whole)
			return &t->items[i];
	return NULL;
}

static void
drop_items(struct thread *t, size_t from)
{
	while (t->item_count > from) {
		struct thread_item *item = &t->items[--t->item_count];

		free(item->id);
		json_buf_free(&item->held);
	}
}

void
thread_begin_message(struct thread *t, const char *id, size_t len, enum message_phase phase)
{
	if (find_item(t, id, len) == NULL)
		(void)add_item(t, id, len, phase); /* NULL: it has failed */
}

/* --- what is said ---------------------------------------------------------------------------- */

/* Passes on what of the text is new. */
static void
say(struct thread *t, struct replay *replay, struct event *event)
{
	if (!replay_hear(replay, &event->text.escaped, &event->text.len)) {
		thread_fail_with(t, FAILURE_STREAM_DISCONNECTED,
		                 "The model's stream broke, and a second try went another way.");
		return;
	}
	if (event->text.len == 0)
		return;
	t->retries = 0;
	thread_emit(t, event);
}

/* Of a message without a phase, in a turn where codex has tools: it is the answer if the turn ends
 * with it, and a word on the way if a call follows. */
static void
hold_text(struct thread *t, struct thread_item *item, const char *escaped, size_t len)
{
	if (item->held.len > HELD_MAX || len > HELD_MAX) {
		thread_fail_with(t, FAILURE_RESPONSE_TOO_LARGE,
		                 "The model's message is too large.");
		return; /* item may be gone */
	}
	json_buf_append(&item->held, escaped, len);
	if (item->held.failed)
		thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
}

static void
hear_text(struct thread *t, struct thread_item *item, const char *escaped, size_t len)
{
	struct event event = {.kind = EVENT_TEXT};

	item->heard = true;
	if (t->own != NULL && item->phase == PHASE_UNSAID) {
		hold_text(t, item, escaped, len);
		return;
	}
	event.text.escaped = escaped;
	event.text.len = len;
	event.text.item = item->index;
	event.text.phase = item->phase;
	say(t, &t->text, &event);
}

static void
hear_reasoning(struct thread *t, const struct delta *d)
{
	struct event event = {.kind = EVENT_REASONING};
	bool same_item = t->reasoning_id != NULL && strlen(t->reasoning_id) == d->item_id_len &&
	                 memcmp(t->reasoning_id, d->item_id, d->item_id_len) == 0;

	if (!same_item || t->reasoning_summary != d->summary_index) {
		free(t->reasoning_id);
		t->reasoning_id = strndup(d->item_id, d->item_id_len);
		t->reasoning_summary = d->summary_index;
		t->reasoning_parts++;
		if (t->reasoning_id == NULL) {
			thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
			return;
		}
	}
	event.text.escaped = d->escaped;
	event.text.len = d->escaped_len;
	event.text.item = t->reasoning_parts - 1;
	say(t, &t->reasoning, &event);
}

void
thread_on_delta(struct thread_link *link, const struct delta *d)
{
	struct thread *t = (struct thread *)link;
	struct thread_item *item;

	if (!thread_is_our_turn(t, d->turn_id, d->turn_id_len) || thread_is_over(t))
		return;
	thread_mark_started(t);
	if (thread_is_over(t))
		return;
	if (d->kind == DELTA_REASONING_SUMMARY) {
		hear_reasoning(t, d);
		return;
	}
	item = find_item(t, d->item_id, d->item_id_len);
	if (item == NULL)
		item = add_item(t, d->item_id, d->item_id_len, PHASE_UNSAID);
	if (item != NULL)
		hear_text(t, item, d->escaped, d->escaped_len);
}

/* A delta in a shape that the scanner does not know. */
void
thread_hear_slow_delta(struct thread *t, json_t *params, enum delta_kind kind)
{
	json_t *text = json_object_get(params, "delta");
	const char *turn_id = json_get_string(params, "turnId");
	const char *item_id = json_get_string(params, "itemId");
	struct json_buf escaped = {0};

	if (!json_is_string(text) || turn_id == NULL || item_id == NULL)
		return;
	json_print_escaped(&escaped, json_string_value(text), json_string_length(text));
	if (escaped.failed) {
		thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
	} else {
		struct delta d = {
			.kind = kind,
			.turn_id = turn_id,
			.turn_id_len = strlen(turn_id),
			.item_id = item_id,
			.item_id_len = strlen(item_id),
			.escaped = escaped.len > 0 ? escaped.data : "",
			.escaped_len = escaped.len,
			.summary_index = (unsigned)json_get_int(params, "summaryIndex", 0),
		};

		thread_on_delta(&t->link, &d);
	}
	json_buf_free(&escaped);
}

/* The message that a raw item is the whole of; NULL: the thread has failed. Messages end in the
 * order they begin; their ids are the provider's, and need not agree between its own events. */
static struct thread_item *
item_of_message(struct thread *t, const json_t *message)
{
	const char *id = json_get_string(message, "id");
	struct thread_item *item = id != NULL ? find_item(t, id, strlen(id)) : NULL;

	if (item == NULL)
		item = first_open_item(t);
	if (item == NULL)
		item = add_item(t, id != NULL ? id : "", id != NULL ? strlen(id) : 0,
		                phase_of(message));
	return item;
}

bool
thread_end_heard_message(struct thread *t, const char *id, size_t len)
{
	struct thread_item *item = find_item(t, id, len);

	if (item == NULL || !item->heard)
		return false;
	item->whole = true;
	return true;
}

/* Says a message that came without deltas. */
void
thread_hear_message(struct thread *t, const json_t *message)
{
	struct thread_item *item = item_of_message(t, message);
	json_t *part;
	size_t i;

	if (item == NULL || item->whole)
		return;
	item->whole = true;
	if (item->heard)
		return;
	json_array_foreach(json_get_array(message, "content"), i, part) {
		json_t *text = json_object_get(part, "text");
		struct json_buf escaped = {0};

		if (thread_is_over(t)) /* item is gone */
			return;
		if (!json_is_string(text))
			continue;
		json_print_escaped(&escaped, json_string_value(text), json_string_length(text));
		if (escaped.failed)
			thread_fail_with(t, FAILURE_INTERNAL, "Out of memory.");
		else
			hear_text(t, item, escaped.len > 0 ? escaped.data : "", escaped.len);
		json_buf_free(&escaped);
	}
}

/* Of one that is told again after a restart, the first is as good. */
void
thread_hear_reasoned(struct thread *t, const json_t *item)
{
	const char *encrypted = json_get_string(item, "encrypted_content");
	const struct event event = {.kind = EVENT_REASONED,
	                            .reasoned = {encrypted != NULL ? encrypted : ""}};

	if (++t->reasoned <= t->reasoned_told)
		return;
	t->reasoned_told = t->reasoned;
	thread_emit(t, &event);
}

/* --- responses ------------------------------------------------------------------------------- */

/* The current response begins again. */
void
thread_restart_text(struct thread *t)
{
	replay_restart(&t->text);
	replay_restart(&t->reasoning);
	drop_items(t, t->response_items);
	t->reasoning_parts = t->response_parts;
	t->reasoned = 0;
	free(t->reasoning_id);
	t->reasoning_id = NULL;
}

bool
thread_text_is_whole(const struct thread *t)
{
	return replay_is_complete(&t->text) && replay_is_complete(&t->reasoning);
}

/* A refusal: codex tells that the message begins, and drops what it cannot read. One that is merely
 * empty comes to its end. */
bool
thread_has_wordless_message(const struct thread *t)
{
	for (size_t i = t->response_items; i < t->item_count; i++)
		if (!t->items[i].heard && !t->items[i].whole)
			return true;
	return false;
}

void
thread_say_held(struct thread *t, bool goes_on)
{
	for (size_t i = t->response_items; i < t->item_count && !thread_is_over(t); i++) {
		struct thread_item *item = &t->items[i];
		struct json_buf held = item->held;
		struct event event = {.kind = EVENT_TEXT};

		if (held.len == 0)
			continue;
		item->held = (struct json_buf){.data = NULL}; /* an event may end the thread */
		event.text.escaped = held.data;
		event.text.len = held.len;
		event.text.item = item->index;
		event.text.phase = goes_on ? PHASE_COMMENTARY : PHASE_FINAL;
		say(t, &t->text, &event);
		json_buf_free(&held);
	}
}

/* The current response is over: what comes now belongs to the next. */
void
thread_end_text(struct thread *t)
{
	t->text = t->reasoning = (struct replay){0};
	t->response_items = t->item_count;
	t->response_parts = t->reasoning_parts;
	t->reasoned = t->reasoned_told = 0;
	free(t->reasoning_id);
	t->reasoning_id = NULL;
}

void
thread_free_text(struct thread *t)
{
	drop_items(t, 0);
	free(t->items);
	t->items = NULL;
	free(t->reasoning_id);
	t->reasoning_id = NULL;
}
