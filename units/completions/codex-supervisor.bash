# bash completion for codex-supervisor
_codex_supervisor() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--socket | --deadline | -n) i=$((i + 1)) ;;
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $before in
	--socket)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--deadline | -n) return ;;
	esac
	local options='--socket' words=''
	case $command in
	'') words='run status describe start stop restart reload drain logs events shutdown check
		settings version help' ;;
	status) options+=' --json --exit-code --watch' ;;
	describe) options+=' --json' words=apps ;;
	start | stop | restart | reload) options+=' --no-wait' words=apps ;;
	drain) options+=' --no-wait --deadline' words=apps ;;
	logs) options+=' --json -n -f' words=apps ;;
	events) options+=' --json' ;;
	check | run)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	# the apps of the supervisor that runs, if it answers
	[ "$words" != apps ] || words="all app-server proxy $(codex-supervisor status --json 2>/dev/null |
		sed -n 's/^ *"name": "\([A-Za-z0-9_.-]*\)",*$/\1/p')"
	[[ $word != -* ]] || words=$options
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _codex_supervisor codex-supervisor
