# A scripted agent for the soak. It may be killed anywhere and started again, and every call may
# fail for a while: what it does can be repeated, and it leaves what was done as it is.
# Words of its prompt say what it is to do:
#   manner=work     (or nothing) does every `item=WORD`, pushes, opens a pull request
#   manner=talk     comments only
#   manner=silent   ends without a word; manner=failing: with 7; manner=linger: says done and stays
# The manner counts for the first run; later ones do what they are asked for.
set -eu
try() { # command...: until it works, for some seconds
    tries=0
    until "$@" >>log.txt 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 25 ] || { tail -n 1 log.txt; exit 9; }
        sleep 0.4
    done
}

prompt=$(cat)
said=$(printf '%s\n' "$prompt" | grep '^| ' || true)
manner=$(printf '%s\n' "$said" | sed -n 's/.*manner=\([a-z]*\).*/\1/p' | head -n 1)
if [ ! -e begun ]; then
    echo "${manner:-work}" >begun
    case $manner in
    silent) exit 0 ;;
    failing)
        echo "cannot do this"
        exit 7
        ;;
    esac
fi
printf '%s\n' "$said" | sed -n 's/.*item=\([a-z0-9-]*\).*/\1/p' >>items
issue=$FORGE_ISSUE_NUMBER
bottle context --json >context || { sleep 1; bottle context --json >context; }

if [ "$(cat begun)" = talk ]; then
    try bottle post-comment "$issue" "I am looking into it."
else
    branch=$(jq -r .branch context)
    if [ ! -e cloned ]; then
        rm -rf tree
        clone() { rm -rf tree && git clone --quiet "$(jq -r .clone_url context)" tree; }
        try clone
        git -C tree switch --quiet --create "$branch"
        touch cloned
    fi
    cd tree
    # A kill in the middle of a commit leaves locks behind.
    rm -f .git/index.lock .git/HEAD.lock
    sort -u ../items >"issue-$issue.txt"
    git add --all "issue-$issue.txt"
    git diff --cached --quiet || git commit --quiet --message "Do what issue $issue asks for"
    try git push --quiet --force origin "HEAD:refs/heads/$branch"
    try bottle open-pr --title "Issue $issue" --body "Does what issue $issue asks for."
    cd ..
fi
try bottle signal-done success "items: $(sort -u items | tr '\n' ' ')"
[ "$manner" != linger ] || sleep 600
