/* script: what a fake answers, as steps made in advance; and the language that chooses it.
 *
 * The last user message chooses: each of its lines that begins with a known "!directive" adds its
 * steps. Both fakes read it the same way, with tables of their own. */
#ifndef SIDECAR_TESTS_SCRIPT_H
#define SIDECAR_TESTS_SCRIPT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/common.h"

enum step_kind {
	STEP_SEND,  /* data, count times */
	STEP_WAIT,  /* ms */
	STEP_STALL, /* nothing more, for ever */
	STEP_CUT,   /* the connection ends here */
	STEP_MARK,  /* up to the program: value says what */
};

struct step {
	enum step_kind kind;
	unsigned value; /* count, ms or mark */
	char *data;     /* with SCRIPT_HEADROOM bytes in front; NULL for the other kinds */
	size_t len;
};

/* Room that libwebsockets wants in front of what it writes. */
#define SCRIPT_HEADROOM 16

struct script {
	struct step *steps;
	size_t count;
	size_t cap;
};

/* All of these exit when there is no memory: a fake has no plan B. */
void script_add(struct script *s, enum step_kind kind, unsigned value);
void script_send(struct script *s, const char *data, size_t len, unsigned count);
void script_printf(struct script *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
void script_free(struct script *s);
enum edit_kind {
	EDIT_LOSE,   /* it is not sent */
	EDIT_DOUBLE, /* it is sent twice */
	EDIT_SWAP,   /* it is sent after the one that follows */
	EDIT_CUT,    /* there is the mark "cut" in its place */
};

/* Every frame that begins as a notification of this method does; for "turn/start", the mark
 * "answer". */
void script_edit(struct script *s, enum edit_kind kind, const char *method, unsigned answer,
                 unsigned cut);
char *text_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A JSON string literal, quotes included; caller frees. */
char *text_quoted(const char *text);

struct directive {
	const char *name;
	void (*run)(void *arg, const char *rest); /* rest: of the line, leading spaces cut */
};

/* Runs each line of text that is a directive of the table; how many there were. */
size_t directives_run(const struct directive *table, size_t count, const char *text, void *arg);

/* The text of the last user message of a list of Responses items, its parts joined; NULL: there is
 * none. Caller frees. */
char *items_last_user_text(const json_t *items);
/* The outputs of the function calls at the end of the list, joined; NULL: it does not end in one.
 */
char *items_tool_outputs(const json_t *items);

#endif
