# shellcheck shell=bash disable=SC2154 # `here`, `root`, `suite`, `channel`: set by who sources it
# How our controller comes into a cluster: the program built and made an image, the CRDs and `deploy/` applied as a user would. Sourced
# by the scripts of this folder, which set `here` (this folder), `root` (the checkout), `suite` and `channel` (of the CRDs), `program`
# (the gateway, or nothing: it is built) and `keep` (the cluster, or nothing), and may have an `apply_controller` of their own. Sets `work` (a folder that is gone at the end), `programs`
# (see `cluster/build`), `built` (see `suite/build`) and `judges` (the folder of the programs that judge).
# shellcheck source=cluster/settings.sh
. "$here/cluster/settings.sh"

class=pingora
namespace=pingora-gateway-system
controller=system:serviceaccount:$namespace:controller   # as the API server's audit log names it

# Ends the script unless an option's value is of a form: the option, its value, the form, and what that is in words.
must_be() {
    [[ $2 =~ ^($3)$ ]] && return
    say "$1 takes $4, not '$2'" >&2
    exit 2
}

a_program() {
    [ -f "$1" ] && [ -x "$1" ] && return
    say "--program takes a program's file, not '$1'" >&2
    exit 2
}

# The cluster, with our controller installed. It goes with the script, unless it is to be kept.
prepare() {
    work=$(mktemp -d)
    trap finish EXIT
    trap 'exit 130' INT TERM
    programs=$("$here/cluster/build")
    built=$("$here/suite/build" "$suite")
    if [ -z "$program" ]; then build_program; fi
    say "building what judges"
    (cd "$root" && cargo build --locked --quiet --workspace --bins)
    judges=${CARGO_TARGET_DIR:-$root/target}/debug
    [ -n "$keep" ] || "$here/cluster/down" >/dev/null
    "$here/cluster/up"
    load_program
    install
    audit=$state/log/audit
    heard=$(stat -c %s "$audit")
}

# shellcheck disable=SC2317,SC2329 # called by the trap
finish() {
    local status=$?
    rm -rf "$work"
    [ -n "$keep" ] || "$here/cluster/down"
    exit "$status"
}

# What the controller wrote since the script began. `all` or `some` says what ran: after all also which of its permissions it did not need.
judge_audit() {
    local permissions=()
    if [ "$1" = all ]; then permissions=("$root/deploy/rbac.yaml" "$here/unused-permissions.txt"); fi
    "$judges/audit" "$audit" "$controller" "$heard" "${permissions[@]}"
}

kubectl() { "$here/cluster/kubectl" "$@"; }
in_network() { nsenter --net="/run/netns/$netns" "$@"; }

build_program() {
    say "building the gateway"
    (cd "$root" && cargo build --locked --quiet --profile bench -p gateway-bin)
    program=${CARGO_TARGET_DIR:-$root/target}/release/gateway
}

# The program in the image that `deploy/image` makes for everybody. Another content is another name, so that pods take it.
load_program() {
    image=$(cat "$program" "$root/deploy/image" "$root/deploy/Containerfile" | sha256sum | cut -c1-16)
    "$root/deploy/image" --program "$program" --archive "$work/gateway.tar" "cluster.test/gateway:$image"
    "$here/cluster/load" "$work/gateway.tar" "$built"/images/*.tar >/dev/null
}

# The plain manifests, with our image.
apply_controller() {
    mkdir -p "$state/install"
    cat >"$state/install/kustomization.yaml" <<OVERLAY
resources: ["$(realpath --relative-to="$(realpath "$state/install")" "$root/deploy")"]
images: [{name: pingora-gateway, newName: cluster.test/gateway, newTag: "$image"}]
OVERLAY
    kubectl apply --server-side -k "$state/install" >>"$work/applied"
}

install() {
    say "installing the CRDs of $suite, $channel channel"
    local crds=$built/crds
    if [ "$channel" = experimental ]; then crds=$crds/experimental; fi
    kubectl apply --server-side -k "$crds" >"$work/applied"
    kubectl wait --for=condition=Established crd --all --timeout=60s >>"$work/applied"
    say "installing our controller"
    apply_controller
    if ! kubectl --namespace $namespace rollout status deployment/controller --timeout=60s >>"$work/applied" ||
        ! kubectl wait --for=condition=Accepted gatewayclass/$class --timeout=60s >>"$work/applied"; then
        say "our controller does not come up:" >&2
        kubectl --namespace $namespace get pods >&2
        kubectl --namespace $namespace get events --field-selector type=Warning >&2
        kubectl --namespace $namespace logs deployment/controller --tail=30 >&2
        kubectl get gatewayclass $class -o 'jsonpath={.status}' >&2
        return 1
    fi
}
