/* process_figures: what the kernel says of this process. */
#ifndef SIDECAR_PROXY_PROCESS_FIGURES_H
#define SIDECAR_PROXY_PROCESS_FIGURES_H

#include "proxy/metrics.h"

/* What cannot be read is 0. */
void process_figures(struct metrics_process *out);

#endif
