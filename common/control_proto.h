/* control_proto: JSON-RPC 2.0 as spoken on the control socket, one message a line. Pure.
 *
 * docs/control.md says what each method means; this file knows the envelope only. */
#ifndef SIDECAR_CONTROL_PROTO_H
#define SIDECAR_CONTROL_PROTO_H

#include <jansson.h>

#include "common/common.h"
#include "common/err.h"

/* A status of a hundred apps is 30 KB; a page of logs fits too. More is a mistake or an attack. */
#define CONTROL_LINE_MAX ((size_t)1 << 20)

enum control_code {
	CONTROL_PARSE_ERROR = -32700,
	CONTROL_INVALID_REQUEST = -32600,
	CONTROL_METHOD_NOT_FOUND = -32601,
	CONTROL_INVALID_PARAMS = -32602,
	CONTROL_INTERNAL_ERROR = -32603,
	CONTROL_FAILED = -32000,      /* understood, tried, did not work: the message says why */
	CONTROL_NOT_ALLOWED = -32001, /* this peer may not say this */
	CONTROL_NO_SUCH_APP = -32002,
	CONTROL_DISCONNECTED = -32003, /* local only: the connection ended before the answer */
	CONTROL_TIMEOUT = -32004,      /* local only: no answer within the deadline */
};

enum control_kind { CONTROL_REQUEST, CONTROL_NOTIFICATION, CONTROL_RESULT, CONTROL_ERROR };

/* A parsed message; everything but id is borrowed from root. */
struct control_msg {
	enum control_kind kind;
	json_t *root; /* owned; release with control_msg_fini */
	json_t *id;   /* string or integer; NULL for a notification; null in an error answer */
	const char *method;  /* request, notification */
	json_t *params;      /* object or NULL */
	json_t *result;      /* result */
	int code;            /* error */
	const char *message; /* error */
};

/* 0, or the JSON-RPC error code (negative) to answer, with err filled. *out is usable for its id
 * (may be NULL) even on CONTROL_INVALID_REQUEST. Always call control_msg_fini after. */
int
control_parse(struct control_msg *out, const char *line, size_t len, struct err *err) MUST_CHECK;
void control_msg_fini(struct control_msg *msg);

/* Each returns one line with its newline, caller frees; NULL: no memory. References are not
 * taken over. id/params/result may be NULL (null id, no params, null result). */
char *control_format_request(json_t *id, const char *method, json_t *params, size_t *len);
char *control_format_notification(const char *method, json_t *params, size_t *len);
char *control_format_result(json_t *id, json_t *result, size_t *len);
char *control_format_error(json_t *id, int code, const char *message, size_t *len);

#endif
