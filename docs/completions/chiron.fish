# SPDX-License-Identifier: MIT
# fish completion for chiron: put it into ~/.config/fish/completions/
set -l verbs serve ingest search ask why embed rerank eval token keys models reindex audit privacy backup restore doctor bench config version
complete -c chiron -f -n "not __fish_seen_subcommand_from $verbs" -a "$verbs"
complete -c chiron -l data -r -d 'data folder'
complete -c chiron -s o -l output -x -a 'text json' -d 'form of the output'
complete -c chiron -s h -l help -d 'flags and examples'
complete -c chiron -n '__fish_seen_subcommand_from serve' -l listen -x -d 'address:port'
complete -c chiron -n '__fish_seen_subcommand_from serve' -l demo -d 'a demo coach'
complete -c chiron -n '__fish_seen_subcommand_from ingest search ask why token' -l creator -x -d 'whose'
complete -c chiron -n '__fish_seen_subcommand_from ingest' -l replace -x -d 'new version of'
complete -c chiron -n '__fish_seen_subcommand_from eval' -l threads -x -d 'threads'
complete -c chiron -n '__fish_seen_subcommand_from ingest search ask token' -l user -x -d 'which user'
complete -c chiron -n '__fish_seen_subcommand_from ingest' -l title -x -d 'title'
complete -c chiron -n '__fish_seen_subcommand_from ingest' -l type -x -d 'content type'
complete -c chiron -n '__fish_seen_subcommand_from ingest' -l language -x -a 'en es'
complete -c chiron -n '__fish_seen_subcommand_from ingest' -l unit -x -a 'characters tokens'
complete -c chiron -n '__fish_seen_subcommand_from search ask' -s k -l limit -x -d 'how many'
complete -c chiron -n '__fish_seen_subcommand_from search eval' -l mode -x -a 'hybrid semantic keyword'
complete -c chiron -n '__fish_seen_subcommand_from search' -l type -x -d 'content type'
complete -c chiron -n '__fish_seen_subcommand_from search' -l threshold -x -d 'least score'
complete -c chiron -n '__fish_seen_subcommand_from search' -l as-written -d 'leave misspelt words'
complete -c chiron -n '__fish_seen_subcommand_from search' -l like -x -d 'the nearest to this passage'
complete -c chiron -n '__fish_seen_subcommand_from search' -l rerank -d 'look at the best again'
complete -c chiron -n '__fish_seen_subcommand_from search' -l no-rerank -d 'leave the order'
complete -c chiron -n '__fish_seen_subcommand_from search' -l depth -x -d 'how many are looked at again'
complete -c chiron -n '__fish_seen_subcommand_from search' -l preset -x -a fit
complete -c chiron -n '__fish_seen_subcommand_from search' -l match -x -d 'what the preset filters by'
complete -c chiron -n '__fish_seen_subcommand_from rerank' -s k -l limit -x -d 'how many'
complete -c chiron -n '__fish_seen_subcommand_from ask' -l conversation -x -d 'continue'
complete -c chiron -n '__fish_seen_subcommand_from embed' -l jsonl -d 'lines in, lines out'
complete -c chiron -n '__fish_seen_subcommand_from embed' -l model -r
complete -c chiron -n '__fish_seen_subcommand_from embed' -l precision -x -a 'auto int8 bf16 f32'
complete -c chiron -n '__fish_seen_subcommand_from embed' -l as -x -a 'query passage'
complete -c chiron -n '__fish_seen_subcommand_from eval' -l documents -r
complete -c chiron -n '__fish_seen_subcommand_from eval' -l queries -r
complete -c chiron -n '__fish_seen_subcommand_from eval' -l qrels -r
complete -c chiron -n '__fish_seen_subcommand_from eval' -l each -r
complete -c chiron -n '__fish_seen_subcommand_from keys' -x -a 'list rotate'
complete -c chiron -n '__fish_seen_subcommand_from token' -l role -x -a 'owner admin editor analyst service user visitor'
complete -c chiron -n '__fish_seen_subcommand_from token' -l hours -x
complete -c chiron -n '__fish_seen_subcommand_from models' -a 'list verify pull use remove'
complete -c chiron -n '__fish_seen_subcommand_from reindex' -l creator -x
complete -c chiron -n '__fish_seen_subcommand_from audit' -a 'list verify'
complete -c chiron -n '__fish_seen_subcommand_from audit privacy' -l creator -x
complete -c chiron -n '__fish_seen_subcommand_from audit' -l action -x
complete -c chiron -n '__fish_seen_subcommand_from audit' -l actor -x
complete -c chiron -n '__fish_seen_subcommand_from audit' -l limit -x
complete -c chiron -n '__fish_seen_subcommand_from privacy' -a 'tables export erase retention certificate'
complete -c chiron -n '__fish_seen_subcommand_from privacy' -l user -x
complete -c chiron -n '__fish_seen_subcommand_from privacy' -l account -x
complete -c chiron -n '__fish_seen_subcommand_from privacy' -l yes
complete -c chiron -n '__fish_seen_subcommand_from privacy' -l dry-run
complete -c chiron -n '__fish_seen_subcommand_from reindex' -l model -x
complete -c chiron -n '__fish_seen_subcommand_from reindex' -l status
complete -c chiron -n '__fish_seen_subcommand_from models' -l sha256 -x
complete -c chiron -n '__fish_seen_subcommand_from models' -l name -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l seconds -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l threads -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l rows -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l only -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l url -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l token -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l pid -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l clients -x
complete -c chiron -n '__fish_seen_subcommand_from bench' -l precision -x -a 'int8 bf16 f32'
complete -c chiron -n '__fish_seen_subcommand_from bench' -l json -r
complete -c chiron -n '__fish_seen_subcommand_from doctor' -l tenants
complete -c chiron -n '__fish_seen_subcommand_from bench' -l bare
complete -c chiron -n '__fish_seen_subcommand_from bench' -a 'machine embed rerank search ingest tokens turn http tenants all'
