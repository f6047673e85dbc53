# shellcheck shell=bash
# Processes by pid file, sourced by deploy/services.sh. A pid counts only while the command line of
# that process has the server's own folder in it: pids are used again, and an innocent is never ended.

# What was remembered about a server: its pid, mark, port.
kept() { cat "$RUN/$1/$2" 2>/dev/null || true; }

# Empty for a process that is gone, a zombie included.
command_line() {
    if [ -d /proc/self ]; then
        tr '\0' ' ' <"/proc/$1/cmdline"
    else
        ps -o args= -p "$1"
    fi 2>/dev/null || true
}

alive() {
    local pid mark
    pid=$(kept "$1" pid)
    mark=$(kept "$1" mark)
    [ -n "$pid" ] && [ -n "$mark" ] || return 1
    case $(command_line "$pid") in *"$mark"*) return 0 ;; *) return 1 ;; esac
}

# spawn NAME MARK COMMAND...: in the background, in a process group of its own, so that Ctrl-C and the
# end of the terminal are not its end.
spawn() {
    local name=$1 mark=$2
    shift 2
    [ ! -f "$RUN/$name/log" ] || mv "$RUN/$name/log" "$RUN/$name/log.before"
    printf '%s\n' "$mark" >"$RUN/$name/mark"
    port_of "$name" >"$RUN/$name/port"
    (
        set -m
        cd /
        nohup "$@" >"$RUN/$name/log" 2>&1 </dev/null 9>&- &
        echo "$!" >"$RUN/$name/pid"
    )
}

# Another's server on our port would answer in our server's name.
free_port() {
    local port
    for port in $(ports_of "$1"); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            fail "$1: port $port is taken by another program; a LECTERN_..._PORT variable chooses another"
            return
        fi
    done
}

# Asks until the server answers; tells why where it has died.
await() {
    local name=$1 began=$SECONDS
    until "ask_$name" 2>/dev/null; do
        if ! alive "$name" && ! starting "$name" "$began"; then
            tell "$name" "has died"
            return 1
        fi
        if [ $((SECONDS - began)) -ge 120 ]; then
            tell "$name" "has not answered for 120 s"
            return 1
        fi
        sleep 0.1
    done
}

# Whether the process may still be the shell that is about to become the server.
starting() { [ $((SECONDS - $2)) -lt 5 ] && [ -n "$(command_line "$(kept "$1" pid)")" ]; }

tell() {
    say "$1: $2; the end of $RUN/$1/log:" >&2
    tail -n 20 "$RUN/$1/log" >&2
}

# The processes that a process started.
children() {
    if command -v pgrep >/dev/null; then pgrep -P "$1" || true; else
        grep -l "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status 2>/dev/null | sed 's|/proc/\([0-9]*\)/.*|\1|' || true
    fi
}

# end NAME SIGNAL: and waits until it is gone, with what it started.
end() {
    local name=$1 signal=$2 pid pids until=$((SECONDS + 30))
    pid=$(kept "$name" pid)
    pids="$pid $(children "$pid")"
    if [ "$signal" = KILL ]; then
        # shellcheck disable=SC2086
        kill -KILL $pids 2>/dev/null || true
    else
        kill -"$signal" "$pid" 2>/dev/null || true
    fi
    while alive "$name" || { [ "$signal" = KILL ] && any_left "$pids"; }; do
        if [ "$SECONDS" -ge "$until" ]; then
            [ "$signal" != KILL ] || { fail "$name: will not end" || return; }
            say "$name: has not stopped for 30 s, killing it"
            end "$name" KILL
            return
        fi
        sleep 0.05
    done
    rm -f "$RUN/$name/pid"
}

any_left() {
    local pid
    for pid in $1; do [ -z "$(command_line "$pid")" ] || return 0; done
    return 1
}
