/* loop_memory: libuv ends the process where its table of descriptors cannot grow. With this it can,
 * also while there is no memory. */
#ifndef SIDECAR_COMMON_LOOP_MEMORY_H
#define SIDECAR_COMMON_LOOP_MEMORY_H

/* Before anything else of libuv is used. */
void loop_memory_init(void);

#endif
