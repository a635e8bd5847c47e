# fish completion for codex-supervisor
set -l commands run status describe start stop restart reload drain logs events shutdown check \
    settings version help
set -l with_app describe start stop restart reload drain logs

# the apps of the supervisor that runs, if it answers
function __codex_supervisor_apps
    printf '%s\n' all app-server proxy
    codex-supervisor status --json 2>/dev/null | string match -rg '^ *"name": "([\w.-]*)",*$'
end

complete -c codex-supervisor -f
complete -c codex-supervisor -l socket -r -F -d 'control socket of the supervisor'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a run -d 'start everything and keep it up'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a status -d 'what runs, and how it is'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a describe -d 'everything that is known of an app'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a start -d 'start an app'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a stop -d 'drain and stop an app'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a restart -d 'one after the other'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a reload -d 'the same without a gap'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a drain -d 'no new work for an app'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a logs -d 'the last lines of an app'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a events -d 'every change of state'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a shutdown -d 'stop everything'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a check -d 'read an ecosystem file'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a settings -d 'the environment variables'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a version -d 'its version'
complete -c codex-supervisor -n "not __fish_seen_subcommand_from $commands" -a help -d 'how it is used'
complete -c codex-supervisor -n "__fish_seen_subcommand_from $with_app" -a '(__codex_supervisor_apps)'
complete -c codex-supervisor -n '__fish_seen_subcommand_from check run' -F
complete -c codex-supervisor -n '__fish_seen_subcommand_from status describe logs events' -l json -d 'as JSON'
complete -c codex-supervisor -n '__fish_seen_subcommand_from status' -l exit-code -d '1 when not ready'
complete -c codex-supervisor -n '__fish_seen_subcommand_from status' -l watch -d 'again every second'
complete -c codex-supervisor -n '__fish_seen_subcommand_from start stop restart reload drain' -l no-wait -d 'do not wait until it is done'
complete -c codex-supervisor -n '__fish_seen_subcommand_from drain' -l deadline -x -d 'for what runs'
complete -c codex-supervisor -n '__fish_seen_subcommand_from logs' -s n -x -d 'how many lines'
complete -c codex-supervisor -n '__fish_seen_subcommand_from logs' -s f -d 'those to come too'
