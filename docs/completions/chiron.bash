# SPDX-License-Identifier: MIT
# bash completion for chiron: source it, or put it into /usr/share/bash-completion/completions/chiron
_chiron() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb=${COMP_WORDS[1]} flags=
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "serve ingest search ask why embed rerank eval token keys models reindex audit privacy backup restore doctor bench config version help" -- "$word")
        return
    fi
    case $before in
    --output | -o) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$word"); return ;;
    --mode) mapfile -t COMPREPLY < <(compgen -W "hybrid semantic keyword" -- "$word"); return ;;
    --role) mapfile -t COMPREPLY < <(compgen -W "owner service user" -- "$word"); return ;;
    --precision) mapfile -t COMPREPLY < <(compgen -W "auto int8 bf16 f32" -- "$word"); return ;;
    --unit) mapfile -t COMPREPLY < <(compgen -W "characters tokens" -- "$word"); return ;;
    --data) mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
    esac
    case $verb in
    serve) flags="--listen --demo" ;;
    ingest) flags="--creator --user --title --type --language --unit --replace" ;;
    search) flags="--creator --user --limit --mode --type --threshold --as-written --rerank --no-rerank --depth --preset --match --like" ;;
    rerank) flags="--limit" ;;
    ask) flags="--creator --user --conversation --limit" ;;
    why) flags="--creator" ;;
    embed) flags="--jsonl --model --precision --as" ;;
    eval) flags="--documents --queries --qrels --mode --each --threads" ;;
    token) flags="--creator --user --role --hours" ;;
    keys) flags="list rotate" ;;
    models) flags="list verify pull use remove --sha256 --name" ;;
    audit) flags="list verify --creator --action --actor --limit" ;;
    privacy) flags="tables export erase retention certificate --creator --user --account --yes --dry-run" ;;
    reindex) flags="--creator --model --status" ;;
    doctor) flags="--tenants" ;;
    bench) flags="--seconds --threads --precision --rows --json --only --bare --url --token --pid --clients" ;;
    esac
    case $word in
    -*) mapfile -t COMPREPLY < <(compgen -W "$flags --data --output --help" -- "$word") ;;
    *) mapfile -t COMPREPLY < <(compgen -f -W "$flags" -- "$word") ;;
    esac
}
complete -o filenames -F _chiron chiron
