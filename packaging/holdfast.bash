# Completion of holdfast(1) for bash. What it offers is read from the program's own help: commands, verbs and options
# are never behind it.
#
# Installed as share/bash-completion/completions/holdfast; or: source packaging/holdfast.bash

# The names at the beginning of the indented lines of a help: commands of the program, verbs of a command.
_holdfast_names() {
    "$@" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p'
}

_holdfast_options() {
    "$@" --help 2>/dev/null | sed -n 's/^  \(--[a-z-]*=\{0,1\}\).*/\1/p'
}

# Has the command verbs of its own? Its help then says how to get the help of each.
_holdfast_has_verbs() {
    "$@" --help 2>/dev/null | grep -q '^Each has its own help'
}

# The kinds that an operand can be: "import commits|bank|events FILE".
_holdfast_kinds() {
    "$@" --help 2>/dev/null |
        sed -n '1s/^Usage: holdfast [a-z]* \[OPTION\.\.\.\] \([a-z|]*|[a-z|]*\) .*/\1/p' | tr '|' '\n'
}

_holdfast() {
    local program=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} word offered i
    local -a words=()
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        # "--server=x" comes as three words, for bash splits at "=".
        if [[ $word == -* || $word == "=" || ${COMP_WORDS[i - 1]} == "=" ]]; then
            continue
        fi
        words+=("$word")
    done
    if [[ $current == "=" || ${COMP_WORDS[COMP_CWORD - 1]} == "=" ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "${current#=}")
        return
    fi
    local -a command=("$program")
    if ((${#words[@]} > 0)); then
        command+=("${words[0]}")
        if ((${#words[@]} > 1)) && _holdfast_has_verbs "${command[@]}" &&
            _holdfast_names "${command[@]}" | grep -qx -- "${words[1]}"; then
            command+=("${words[1]}")
        fi
    fi
    if [[ $current == -* ]]; then
        offered=$(_holdfast_options "${command[@]}")
        mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
        if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *= ]]; then
            compopt -o nospace 2>/dev/null
        fi
        return
    fi
    if ((${#words[@]} == 0)); then
        offered="$(_holdfast_names "$program") help"
    elif ((${#words[@]} == 1)) && _holdfast_has_verbs "${command[@]}"; then
        offered=$(_holdfast_names "${command[@]}")
    elif ((${#words[@]} == 1)); then
        offered=$(_holdfast_kinds "${command[@]}")
    else
        offered=
    fi
    mapfile -t COMPREPLY < <(compgen -W "$offered" -- "$current")
    if ((${#COMPREPLY[@]} == 0)); then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}

complete -o filenames -F _holdfast holdfast
