// Package loadbalancer gives Services of type LoadBalancer an address of the cluster's pool; kube-proxy then serves it.
// An address that spec.loadBalancerIP asks for is given, or refused at once, by a condition of the Service and by a Warning
// event, as load balancers outside do; no other address is given instead. What is refused is tried again once an address
// becomes free.
package loadbalancer

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	listersv1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
)

// The condition of a Service whose requested address is not given; absent otherwise.
const addressGiven = "cluster.test/AddressGiven"

// Main runs until it is told to end, and returns the exit code.
func Main() int {
	flags := flag.NewFlagSet("load-balancer", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	_ = flags.Parse(os.Args[1:]) // ends the program itself where it fails
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig); err != nil {
		fmt.Fprintln(os.Stderr, "load-balancer:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	defer broadcaster.Shutdown()

	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Services()
	b := &balancer{
		client:   client,
		services: informer.Lister(),
		events:   broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "load-balancer"}),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
		pool:   newPool(),
		owners: map[cache.ObjectName]string{},
	}
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    b.enqueue,
		UpdateFunc: func(_, service any) { b.enqueue(service) },
		DeleteFunc: b.enqueue,
	}); err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := b.recall(); err != nil {
		return err
	}
	context.AfterFunc(ctx, b.queue.ShutDown)
	for b.step(ctx) {
	}
	return nil
}

type balancer struct {
	client   kubernetes.Interface
	services listersv1.ServiceLister
	events   record.EventRecorder
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
	pool     *pool
	owners   map[cache.ObjectName]string // whom a name belonged to when last seen
}

func (b *balancer) enqueue(service any) {
	if name, err := cache.DeletionHandlingObjectToName(service); err == nil {
		b.queue.Add(name)
	}
}

// Recall takes the addresses that were given before a restart as held.
func (b *balancer) recall() error {
	services, err := b.services.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, service := range services {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			b.pool.ask(string(service.UID), ingress.IP)
		}
	}
	return nil
}

func (b *balancer) step(ctx context.Context) bool {
	name, shutdown := b.queue.Get()
	if shutdown {
		return false
	}
	defer b.queue.Done(name)
	err := b.reconcile(ctx, name)
	if err == nil && b.pool.takeFreed() {
		err = b.retry()
	}
	if err != nil {
		if !errors.IsConflict(err) {
			fmt.Fprintln(os.Stderr, name, err)
		}
		b.queue.AddRateLimited(name)
		return true
	}
	b.queue.Forget(name)
	return true
}

func (b *balancer) reconcile(ctx context.Context, name cache.ObjectName) error {
	stored, err := b.services.Services(name.Namespace).Get(name.Name)
	if errors.IsNotFound(err) {
		b.release(name)
		return nil
	}
	if err != nil {
		return err
	}
	if owner := b.owners[name]; owner != "" && owner != string(stored.UID) {
		b.release(name)
	}
	service := stored.DeepCopy()
	if service.Spec.Type != corev1.ServiceTypeLoadBalancer {
		b.release(name)
		service.Status.LoadBalancer.Ingress = nil
		meta.RemoveStatusCondition(&service.Status.Conditions, addressGiven)
		return b.write(ctx, stored, service)
	}
	b.owners[name] = string(service.UID)
	refused := b.allot(service)
	if err := b.write(ctx, stored, service); err != nil {
		return err
	}
	if former := meta.FindStatusCondition(stored.Status.Conditions, addressGiven); refused != nil &&
		(former == nil || former.Message != refused.message) {
		b.events.Event(service, corev1.EventTypeWarning, "AllocationFailed", refused.message)
	}
	return nil
}

// Allot puts into the Service's status what it is given, or why it is given nothing.
func (b *balancer) allot(service *corev1.Service) *refusal {
	owner, requested := string(service.UID), service.Spec.LoadBalancerIP
	var address netip.Addr
	var refused *refusal
	if requested == "" {
		address, refused = b.pool.any(owner)
	} else {
		address, refused = b.pool.ask(owner, requested)
	}
	if refused != nil {
		service.Status.LoadBalancer.Ingress = nil
		meta.SetStatusCondition(&service.Status.Conditions, metav1.Condition{
			Type: addressGiven, Status: metav1.ConditionFalse, ObservedGeneration: service.Generation,
			Reason: refused.reason, Message: refused.message,
		})
		return refused
	}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{
		{IP: address.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)},
	}
	meta.RemoveStatusCondition(&service.Status.Conditions, addressGiven)
	return nil
}

func (b *balancer) write(ctx context.Context, stored, service *corev1.Service) error {
	if equality.Semantic.DeepEqual(stored.Status, service.Status) {
		return nil
	}
	_, err := b.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, service, metav1.UpdateOptions{})
	return err
}

// Release lets go of what a name held.
func (b *balancer) release(name cache.ObjectName) {
	b.pool.release(b.owners[name])
	delete(b.owners, name)
}

// Retry asks again for whoever was refused.
func (b *balancer) retry() error {
	services, err := b.services.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, service := range services {
		if meta.FindStatusCondition(service.Status.Conditions, addressGiven) != nil {
			b.enqueue(service)
		}
	}
	return nil
}
