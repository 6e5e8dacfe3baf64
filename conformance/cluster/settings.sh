# shellcheck shell=bash disable=SC2034 # read by the scripts of this folder and of conformance/, which source it
# What the scripts of this folder agree on: the cluster's name, its folders and its addresses.
#
#   CLUSTER         name of the cluster (default conformance); clusters of different names do not meet
#   CLUSTER_STATE   folder for the state of clusters that are up (default /tmp/pingora-gateway-clusters)
#   CI_CACHE        folder for what is built, kept between runs (default ~/.cache/pingora-gateway-ci)

cluster=${CLUSTER:-conformance}
cache=${CI_CACHE:-$HOME/.cache/pingora-gateway-ci}
state=${CLUSTER_STATE:-/tmp/pingora-gateway-clusters}/$cluster
netns=pingora-$cluster           # network namespace; the cluster's cgroup has this name too
admin=$state/pki/admin.kubeconfig

kubernetes_version=v1.34.4
go_version=1.27.3

node_address=10.111.0.1          # of the only node, in a network namespace without a way out
service_network=10.96.0.0/16
pod_network=10.244.0.0/16
pool_network=10.112.0.0/24       # of load balancers; loadbalancer/pool.go knows which of it are given
usable_address=10.112.0.250      # given to whoever asks for it
unusable_address=192.0.2.9       # never given

if ! [[ $cluster =~ ^[a-z][a-z0-9-]{0,30}$ ]]; then
    echo "a cluster's name is a small letter, and up to 30 small letters, digits and dashes: '$cluster' is none" >&2
    exit 2
fi
if [ "$(id -u)" != 0 ]; then
    echo "a cluster needs root: it makes namespaces and mounts" >&2
    exit 2
fi

say() { printf '%s: %s\n' "${0##*/}" "$*"; }

# Where control groups of this machine are: one hierarchy for each controller, or one for all.
cgroup_roots() {
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
        echo /sys/fs/cgroup
    else
        find /sys/fs/cgroup -mindepth 1 -maxdepth 1 -type d
    fi
}

# The cluster's PID 1 as seen from outside: the only child of the process that holds its namespaces. Fails if it is not up.
inner_pid() {
    [ -s "$state/init.pid" ] && pgrep -P "$(cat "$state/init.pid")"
}

# Runs a command inside the cluster's mounts, processes and network.
inside() {
    nsenter --target "$(inner_pid)" --mount --pid --net -- "$@"
}
