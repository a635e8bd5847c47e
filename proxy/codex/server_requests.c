/* server_requests: what the app-server asks of us, and what it is told. */
#include "proxy/codex/server_requests.h"

#include <string.h>

#include "common/common.h"

#define METHOD_NOT_FOUND (-32601)
#define INTERNAL_ERROR   (-32603)
#define REFUSED          (-32000)

static json_t *
decline(void)
{
	return json_pack("{s:s}", "decision", "decline");
}

/* This once, and nothing that it is like. */
static json_t *
accept_once(void)
{
	return json_pack("{s:s}", "decision", "accept");
}

/* The same of the older protocol, which hands the words on to the model. */
static json_t *
deny(void)
{
	return json_pack("{s:{s:{s:s}}}", "decision", "denied", "rejection",
	                 "This client approves nothing.");
}

static json_t *
decline_elicitation(void)
{
	return json_pack("{s:s,s:n,s:n}", "action", "decline", "content", "_meta");
}

/* Nothing more than it has. */
static json_t *
grant_nothing(void)
{
	return json_pack("{s:{},s:s}", "permissions", "scope", "turn");
}

static json_t *
answer_no_question(void)
{
	return json_pack("{s:{}}", "answers");
}

static const struct request {
	const char *method;
	json_t *(*result)(void); /* NULL: refused, and why: */
	const char *why;
	json_t *(*approval)(void); /* NULL: it cannot be approved */
} requests[] = {
	{"item/commandExecution/requestApproval", decline,             NULL,                                  accept_once},
	{"item/fileChange/requestApproval",       decline,             NULL,                                  accept_once},
	{"item/permissions/requestApproval",      grant_nothing,       NULL,                                  NULL       },
	{"applyPatchApproval",                    deny,                NULL,                                  NULL       },
	{"execCommandApproval",                   deny,                NULL,                                  NULL       },
	{"mcpServer/elicitation/request",         decline_elicitation, NULL,                                  NULL       },
	{"item/tool/requestUserInput",            answer_no_question,  NULL,                                  NULL       },
	{"item/tool/call",                        NULL,                "this connection has no such thread",  NULL       },
	{"account/chatgptAuthTokens/refresh",     NULL,                "the tokens are codex's own business", NULL       },
	{"attestation/generate",                  NULL,                "this client attests nothing",         NULL       },
};

static struct server_reply
refuse(int code, const char *why)
{
	return (struct server_reply){.code = code, .why = why};
}

static struct server_reply
give(json_t *result)
{
	struct server_reply reply = {.result = result};

	return result != NULL ? reply : refuse(INTERNAL_ERROR, "no memory");
}

struct server_reply
server_request_reply(const char *method, bool ours, bool approved, json_int_t now)
{
	/* The caller's functions run at the caller's: rawResponse/completed ends the turn that
	 * called them. This may come before it, while the model still writes its other calls. */
	if (strcmp(method, "item/tool/call") == 0 && ours)
		return (struct server_reply){.none = true};
	if (strcmp(method, "currentTime/read") == 0)
		return give(json_pack("{s:I}", "currentTimeAt", now));
	for (size_t i = 0; i < NELEM(requests); i++) {
		if (strcmp(requests[i].method, method) != 0)
			continue;
		if (approved && requests[i].approval != NULL)
			return give(requests[i].approval());
		return requests[i].result != NULL ? give(requests[i].result())
		                                  : refuse(REFUSED, requests[i].why);
	}
	return refuse(METHOD_NOT_FOUND, "codex-sidecar does not answer this");
}
