# A scripted agent: what a coding agent does, without a model. Its prompt comes on standard input.
set -eu
note() { printf 'agent: %s\n' "$*"; }

prompt=$(cat)
issue=$FORGE_ISSUE_NUMBER
branch=$(bottle context --json | jq -r .branch)

refused() { # command...: must fail because the sidecar refuses it
    if "$@" >refusal.txt 2>&1; then
        note "NOT REFUSED: $*"
        exit 3
    fi
    note "refused: $(grep -v -e '^$' -e '^To ' -e 'failed to push' -e '^hint' refusal.txt | tail -n 1)"
}

if [ ! -d tree ]; then
    note "first run"
    bottle read-issue "$issue"
    git clone --quiet "$(bottle context --json | jq -r .clone_url)" tree
    cd tree
    git switch --quiet --create "$branch"
    echo hello >hello.txt
    git add hello.txt
    git commit --quiet --message "Add a greeting"
    git push --quiet --set-upstream origin "$branch"
    bottle open-pr --title "Add a greeting" --body "Says hello."
    bottle post-comment "$issue" "I have opened a pull request."
    bottle signal-done success "Added hello.txt and opened a pull request."
else
    note "woken with: $(printf '%s\n' "$prompt" | grep '^| ' | tail -n 1)"
    cd tree
    echo "hello world" >hello.txt
    git commit --quiet --all --amend --message "Add a friendlier greeting"
    git push --quiet --force-with-lease origin "$branch"
    refused bottle post-comment 1 "This is none of my business."
    refused git push --quiet origin HEAD:main
    bottle signal-done success "Made the greeting friendlier."
fi
