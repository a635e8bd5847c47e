#!/bin/sh
# Tells how long the Codex login is good, and sends an alert before it ends: for cron and timers.
# usage: codex-auth-check.sh [OPTION OF codex-healthcheck auth]...
#
# The alert goes to CODEX_ALERT_WEBHOOK_URL (or to the URL in the file CODEX_ALERT_WEBHOOK_URL_FILE),
# once for each state and once a day while it lasts; without either, this only tells. The login is
# that of CODEX_HOME (~/.codex). Exit codes: 0 well, 1 expired, 2 no login to be read, or the webhook
# does not take the alert, 3 expires within 48 hours.
set -eu

here=$(dirname "$(readlink -f "$0")")
# Beside this script when installed; as it was built; else the one on PATH.
for program in "$here/codex-healthcheck" "${SIDECAR_BUILD:-$here/../build}/codex-healthcheck"; do
	[ -x "$program" ] && break
	program=codex-healthcheck
done
if ! command -v "$program" >/dev/null; then
	echo "$0: codex-healthcheck is neither beside it, nor built (make), nor on PATH" >&2
	exit 2
fi
if [ -n "${CODEX_ALERT_WEBHOOK_URL:-}${CODEX_ALERT_WEBHOOK_URL_FILE:-}" ]; then
	set -- --alert "$@"
fi
exec "$program" auth "$@"
