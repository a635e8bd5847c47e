# bash completion for codex-healthcheck
_codex_healthcheck() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	case $before in
	--socket | --unix | --ca)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--format)
		mapfile -t COMPREPLY < <(compgen -W 'discord slack json' -- "$word")
		return
		;;
	--url | --timeout | --warn-hours | --repeat-hours) return ;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W '--socket --url --unix --ca --insecure --timeout
			--json --quiet --warn-hours --alert --repeat-hours --format --help --version' -- "$word")
	else
		mapfile -t COMPREPLY < <(compgen -W 'live ready startup status auth' -- "$word")
	fi
}
complete -F _codex_healthcheck codex-healthcheck
