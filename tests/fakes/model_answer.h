/* model_answer: what the demo model says to a request, as an HTTP answer made in advance. Pure. */
#ifndef SIDECAR_TESTS_MODEL_ANSWER_H
#define SIDECAR_TESTS_MODEL_ANSWER_H

#include <jansson.h>

#include "tests/fakes/script.h"

#define MODEL_HEADERS_MAX 16 /* those that follow are not sent */

struct model_answer {
	int status;  /* 200: the script is a stream of server-sent events */
	bool silent; /* not even headers, ever */
	char *body;  /* other statuses */
	struct model_header {
		char *name; /* with its colon */
		char *value;
	} headers[MODEL_HEADERS_MAX]; /* more ones of the response, whatever its status */
	size_t header_count;
	struct script script; /* ends by itself: STEP_STALL, STEP_CUT, or simply its last step */
};

/* request: the parsed body; number: makes ids differ. */
void model_answer_make(struct model_answer *a, const json_t *request, unsigned number);
void model_answer_free(struct model_answer *a);

#endif
