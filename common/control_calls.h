/* control_calls: the requests of one connection that wait for the peer's answer. */
#ifndef SIDECAR_CONTROL_CALLS_H
#define SIDECAR_CONTROL_CALLS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/control_conn.h"
#include "common/control_proto.h"

/* A list begins as NULL. Each call is answered once; by then it is not in the list any more, so
 * that its answer function may do anything to the connection. */
struct control_call;

/* The next one's; NULL: no memory. */
json_t *control_call_id(void);
/* It will be answered. NULL: no memory, and no answer. */
struct control_call *control_calls_add(struct control_call **list, const json_t *id,
                                       uint64_t deadline_ms, control_answer_fn answer, void *arg);
/* It never left: answered by the next control_calls_expire_one. */
void control_call_unsent(struct control_call *call);
/* The earliest of all; UINT64_MAX: there is none. */
uint64_t control_calls_deadline(const struct control_call *list);
/* False: there is none whose time is over. */
bool control_calls_expire_one(struct control_call **list, uint64_t now_ms);
/* msg: a result or an error. False: nobody waits for it. */
bool control_calls_answer(struct control_call **list, const struct control_msg *msg);
/* Answers all of them: there is nobody there any more. */
void control_calls_disconnect(struct control_call **list);

#endif
