# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion for bash of posternd, posternctl, postern-load, postern-sink, postern-lab and
# postern-probe. It is installed once under the name of each of them, and needs nothing but bash.
#
# Each table has one option a line, and what follows it: "-" nothing, "value" something that cannot
# be guessed, "file", "dir", or the words that there are. A word that ends in ":" or "=" is not
# complete, and gets no blank behind it.

_postern_dist='uniform: exp: lognormal: normal: file:'
_postern_keywords='PIPELINING 8BITMIME CHUNKING BINARYMIME ENHANCEDSTATUSCODES DSN SMTPUTF8'
_postern_keywords+=' SIZE LIMITS PRDR DEFERRALS INLINE-DSN EXDATA XRCPT250 XRCPT250B XPRDR1 ADAT'
_postern_addresses='smtp:// lmtp:// smtp+unix: lmtp+unix:'
_postern_rules='CORE LMTP PRDR DEF INL EXD HOL OTH'
_postern_targets='smtp:// smtps:// lmtp:// smtp+unix: lmtp+unix:'

_postern_posternd="
--config file
--listen $_postern_addresses
--spool dir
--durability disk os none
--shards auto
--scan auto scalar sse42 avx2 avx512 neon
--hostname value
--rules file
--check -
--print-features -
--version -
--help -"

_postern_load="
--target $_postern_targets
--connections value
--rate value
--shape constant poisson ramp: step:
--duration value
--count value
--warmup value
--drain value
--think $_postern_dist
--in-flight value
--reuse value
--preconnect -
--connecting value
--workers auto
--source value
--seed value
--run value
--size $_postern_dist
--recipients $_postern_dist
--body text base64 8bit dots long empty-lines worst
--corpus file
--no-identity -
--from value
--to value
--users value
--helo value
--dialect any none prdr deferrals inline-dsn exdata xrcpt250 xrcpt250b xprdr1 adat
--dialect-min value
--dialect-failures value
--exdata-if-asked -
--prdr -
--bdat value
--pipelining none envelope full
--starttls -
--tls-ca file
--tls-resume value
--timeout connect= tls= greeting= hello= mail= rcpt= data= content= done= other= all=
--retry none fixed: exp:
--slow-write value
--slow-read value
--rcvbuf value
--vanish dot
--half-close -
--reset -
--attempts file
--json file
--csv file
--hgrm dir
--html file
--quiet -
--lag-limit value
--help -
--version -"

_postern_sink="
-l $_postern_addresses
--listen $_postern_addresses
-w value
--workers value
--conns value
-s file
--script file
-r connect helo mail rcpt data dot each quit
--rule connect helo mail rcpt data dot each quit
-L file
--ledger file
--store maildir:
--once -
--max-conns value
--max-messages value
--hostname value
--banner value
--offer none all $_postern_keywords
--no-offer $_postern_keywords
--size value
--rcpt-max value
--source-conns value
--source-rate value
--capacity value
--slowdown value
--rcvbuf value
--idle value
--seed value
--grace value
-q -
--quiet -
--delay-greeting $_postern_dist
--delay-dot $_postern_dist
--delay-each $_postern_dist
--refuse-rcpt value
--refuse-message value
--refuse-each value
--drop-dot value
--version -
--help -"

_postern_probe="
--rcpt value
--refused-rcpt value
--content-refused-rcpt value
--content-delayed-rcpt value
--gtube -
--from value
--helo value
--only $_postern_rules
--skip $_postern_rules
--list -
--intrusive -
--strict -
--timeout value
--limit value
--upload value
--rcpt-bound value
--starttls -
--tls-ca file
--color auto always never
--json file
--junit file
--verbose -
--quiet -
--help -
--version -"

_postern_lab_show='
--text file
--json file
--csv file
--html file
--help -'
_postern_lab_run="$_postern_lab_show
--mode sim live real-client real-server
--bin dir
--only value
--where value
--seed value
--messages value
--jobs value
--ladder value
--ledger dir
--tolerate -
--check -
--print -
--settings -"
_postern_lab_ledger='
--attempts file
--arrived sink: spool: maildir: mbox: folder:
--rcpt-from value
--copy-per auto recipient message
--list lost duplicated ghost
--json file
--help -'

_postern_ctl_spool_list='
--spool dir
--json -
--ids -
--message-id value
--sender value
--rcpt value
--class value
--held -
--since value
--until value
--help -'
_postern_ctl_spool_show='
--spool dir
--header -
--content -
--json -
--raw -
--help -'
_postern_ctl_spool_verify='
--spool dir
--help -'
_postern_ctl_spool_export='
--spool dir
--format eml mbox maildir
--to dir
--held -
--all -
--help -'
_postern_ctl_spool_delete='
--spool dir
--all-held -
--help -'
_postern_ctl_spool_requeue=$_postern_ctl_spool_delete
_postern_ctl_map_build='
--from file
--to file
--case fold exact
--help -'
_postern_ctl_map_query='
--help -'
_postern_ctl_map_dump=$_postern_ctl_map_query

_postern_common='--help --version'

# The command line up to the cursor as words. Bash's own words are cut at ":" and "=" too.
_postern_split() {
    local line=${COMP_LINE:0:COMP_POINT}
    IFS=$' \t\n' read -r -a words <<<"$line"
    case $line in *[[:blank:]]) words+=('') ;; esac
    current=${words[${#words[@]} - 1]}
    before=''
    (( ${#words[@]} < 2 )) || before=${words[${#words[@]} - 2]}
    case $current in
    --*=*)
        before=${current%%=*}
        current=${current#*=}
        ;;
    esac
}

# What follows option $2 in table $1; fails when it is none that takes a value.
_postern_value_of() {
    local option rest
    while read -r option rest; do
        [[ $option == "$2" && $rest != - ]] || continue
        printf '%s\n' "$rest"
        return 0
    done <<<"$1"
    return 1
}

_postern_offer() {
    case $1 in
    value) ;;
    file)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    dir)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$current")
        ;;
    *)
        local kind=${current%%:*} path=${current#*:}
        case $current in
        file:* | sink:* | mbox:* | smtp+unix:* | lmtp+unix:*)
            mapfile -t COMPREPLY < <(compgen -f -P "$kind:" -- "$path")
            compopt -o filenames 2>/dev/null
            ;;
        spool:* | maildir:* | folder:*)
            mapfile -t COMPREPLY < <(compgen -d -P "$kind:" -- "$path")
            compopt -o filenames 2>/dev/null
            ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current") ;;
        esac
        case ${COMPREPLY[0]-} in *[:=/]) compopt -o nospace 2>/dev/null ;; esac
        _postern_trim
        ;;
    esac
}

# Bash puts a completion behind the last ":" or "=" of the word, where these divide words.
_postern_trim() {
    local divider tail rest=$current
    for divider in : =; do
        [[ $COMP_WORDBREAKS == *"$divider"* ]] || continue
        tail=${current##*"$divider"}
        (( ${#tail} >= ${#rest} )) || rest=$tail
    done
    COMPREPLY=("${COMPREPLY[@]#"${current%"$rest"}"}")
}

# Options of table $1, their values, and else what $2 says.
_postern_from() {
    local offer
    if offer=$(_postern_value_of "$1" "$before"); then
        _postern_offer "$offer"
    elif [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(while read -r offer _; do
            printf '%s ' "$offer"
        done <<<"$1")" -- "$current")
    else
        _postern_offer "$2"
    fi
}

_posternctl() {
    local noun=${words[1]-} verb=${words[2]-} table
    case $noun:${#words[@]} in
    *:2) _postern_offer "spool map $_postern_common" ;;
    spool:3) _postern_offer 'list show verify export delete requeue --help' ;;
    map:3) _postern_offer 'build query dump --help' ;;
    map:4) # the first word behind query and dump is a file
        table=_postern_ctl_map_$verb
        case $verb in
        query | dump) _postern_from "${!table-}" file ;;
        *) _postern_from "${!table-}" value ;;
        esac
        ;;
    spool:* | map:*)
        [[ $verb =~ ^[a-z]+$ ]] || return
        table=_postern_ctl_${noun}_$verb
        _postern_from "${!table-}" value
        ;;
    esac
}

_postern_lab() {
    local i
    if (( ${#words[@]} == 2 )); then
        _postern_offer "run show ledger $_postern_common"
        return
    fi
    case ${words[1]} in
    run) _postern_from "$_postern_lab_run" file; return ;;
    show) _postern_from "$_postern_lab_show" file; return ;;
    ledger) ;;
    *) return ;;
    esac
    # --attempts and --arrived take several words.
    for (( i = ${#words[@]} - 2; i > 1; i-- )); do
        case ${words[i]} in
        --attempts | --arrived) [[ $current == -* ]] || before=${words[i]} ;;
        --*) ;;
        *) continue ;;
        esac
        break
    done
    _postern_from "$_postern_lab_ledger" value
}

_postern() {
    local words current before
    COMPREPLY=()
    _postern_split
    case ${words[0]##*/} in
    posternd) _postern_from "$_postern_posternd" value ;;
    posternctl) _posternctl ;;
    postern-load)
        if [[ ${words[1]-} == compare && ${#words[@]} -gt 2 ]]; then
            _postern_offer file
        elif (( ${#words[@]} == 2 )); then
            _postern_from "$_postern_load" "compare $_postern_targets"
        else
            _postern_from "$_postern_load" "$_postern_targets"
        fi
        ;;
    postern-sink) _postern_from "$_postern_sink" value ;;
    postern-lab) _postern_lab ;;
    postern-probe) _postern_from "$_postern_probe" "$_postern_targets" ;;
    esac
}

complete -F _postern posternd posternctl postern-load postern-sink postern-lab postern-probe
