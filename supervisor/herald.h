/* herald: hears an app say that it is ready, by the ways that systemd and Node have for it.
 *
 * Each run of an app has a NOTIFY_SOCKET and a NODE_CHANNEL_FD of its own, so that what is said
 * there can be about no other run. */
#ifndef SIDECAR_HERALD_H
#define SIDECAR_HERALD_H

#include <uv.h>

#include "common/err.h"

#define HERALD_NOTIFY 1u /* sd_notify(3): READY=1 */
#define HERALD_IPC    2u /* Node's process.send('ready') */

struct herald;

/* dir: where the socket is made. fn at each time that it says so. */
int herald_new(struct herald **out, uv_loop_t *loop, const char *dir, unsigned ways,
               void (*fn)(void *arg), void *arg, struct err *err) MUST_CHECK;
/* The path of the socket for NOTIFY_SOCKET; NULL: not one of its ways. */
const char *herald_socket(const struct herald *h);
/* The end of the channel that the app gets; -1: not one of its ways, or let go already. */
int herald_child_fd(const struct herald *h);
/* The app has it. Without this its end would not be seen. */
void herald_release_child_fd(struct herald *h);
/* h is freed later, fn is not called any more. */
void herald_close(struct herald *h);

#endif
