// device-plugin tells a kubelet of devices of a node, as KubeVirt's own agent does. A file that is named is a resource of
// which there are ten, and a container that has one of them is given the file. PCI devices that are named by their addresses
// are a resource, too, each with its NUMA node; a container is given the files of their IOMMU groups, and their addresses
// in a variable. It is for tests alone.
// Usage: device-plugin RESOURCE=FILE|RESOURCE=ADDRESS[,ADDRESS...]...
package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	// A file such as /dev/kvm is everybody's; Kubernetes wants a number.
	copies = 10
	// An emulated kubelet takes its time to listen.
	patience   = 10 * time.Minute
	pciDevices = "/sys/bus/pci/devices"
	// What sysfs says of a device that is at no node's.
	anyNode = -1
	// Whom the launcher's containers run as: it is given the files of the groups, as by KubeVirt's agent.
	user = 107
)

// device is one of a resource: a file that everybody has, or a PCI device.
type device struct {
	id, address string
	node        int64
	file        string
}

type plugin struct {
	api.UnimplementedDevicePluginServer
	resource string
	devices  []device
}

func main() {
	if len(os.Args) < 2 {
		fail(fmt.Errorf("usage: device-plugin RESOURCE=FILE|RESOURCE=ADDRESS[,ADDRESS...]..."))
	}
	var plugins []plugin
	for _, word := range os.Args[1:] {
		resource, named, found := strings.Cut(word, "=")
		if !found || named == "" {
			fail(fmt.Errorf("%q: wanted RESOURCE=FILE or RESOURCE=ADDRESS", word))
		}
		devices, err := devicesOf(named)
		if err != nil {
			fail(err)
		}
		plugins = append(plugins, plugin{resource: resource, devices: devices})
	}
	for {
		offer(plugins)
	}
}

func devicesOf(named string) ([]device, error) {
	var devices []device
	if strings.HasPrefix(named, "/") {
		for number := range copies {
			devices = append(devices, device{id: fmt.Sprint(number), node: anyNode, file: named})
		}
		return devices, nil
	}
	for _, address := range strings.Split(named, ",") {
		text, err := os.ReadFile(filepath.Join(pciDevices, address, "numa_node"))
		if err != nil {
			return nil, err
		}
		node, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		if err != nil {
			return nil, err
		}
		devices = append(devices, device{id: address, address: address, node: node})
	}
	return devices, nil
}

// offer tells the kubelet that is there of all resources, and returns when another one is: it forgets who registered.
func offer(plugins []plugin) {
	var servers []*grpc.Server
	for _, each := range plugins {
		server, err := each.serve()
		if err != nil {
			fail(err)
		}
		servers = append(servers, server)
	}
	waitForAnotherKubelet(plugins)
	for _, server := range servers {
		server.Stop()
	}
}

func fail(err error) {
	fmt.Fprintf(os.Stderr, "device-plugin: %v\n", err)
	os.Exit(1)
}

// serve answers for the resource on a socket of its own, and registers it.
func (p plugin) serve() (*grpc.Server, error) {
	path := p.socket()
	if err := os.RemoveAll(path); err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	go func() {
		if err := server.Serve(listener); err != nil {
			fail(err)
		}
	}()
	return server, register(filepath.Base(path), p.resource)
}

func register(endpoint, resource string) error {
	connection, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: endpoint, ResourceName: resource}
	_, err = api.NewRegistrationClient(connection).Register(ctx, request, grpc.WaitForReady(true))
	return err
}

// waitForAnotherKubelet returns once a kubelet that starts has removed the sockets of all plugins, as each does. Its own socket
// tells nothing: the file system may give the new one the number that the old one had.
func waitForAnotherKubelet(plugins []plugin) {
	for {
		time.Sleep(time.Second)
		for _, each := range plugins {
			if _, err := os.Stat(each.socket()); err != nil {
				return
			}
		}
	}
}

// socket is where the plugin answers for its resource.
func (p plugin) socket() string {
	return filepath.Join(api.DevicePluginPath, strings.NewReplacer("/", "-", ".", "-").Replace(p.resource)+".sock")
}

func (p plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (p plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	list := &api.ListAndWatchResponse{}
	for _, each := range p.devices {
		told := &api.Device{ID: each.id, Health: api.Healthy}
		if each.node != anyNode {
			told.Topology = &api.TopologyInfo{Nodes: []*api.NUMANode{{ID: each.node}}}
		}
		list.Devices = append(list.Devices, told)
	}
	if err := stream.Send(list); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	answer := &api.AllocateResponse{}
	for _, wanted := range request.ContainerRequests {
		given, err := p.give(wanted.DevicesIds)
		if err != nil {
			return nil, err
		}
		answer.ContainerResponses = append(answer.ContainerResponses, given)
	}
	return answer, nil
}

// give returns what a container has of these devices: their files once each, and the addresses of those that have one.
func (p plugin) give(ids []string) (*api.ContainerAllocateResponse, error) {
	files, addresses := map[string]bool{}, []string{}
	for _, each := range p.devices {
		if !slices.Contains(ids, each.id) {
			continue
		}
		if each.address == "" {
			files[each.file] = true
			continue
		}
		group, err := groupOf(each.address)
		if err != nil {
			return nil, err
		}
		files["/dev/vfio/vfio"], files[group] = true, true
		addresses = append(addresses, each.address)
	}
	given := &api.ContainerAllocateResponse{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		given.Devices = append(given.Devices, &api.DeviceSpec{ContainerPath: file, HostPath: file, Permissions: "mrw"})
	}
	if len(addresses) > 0 {
		name := "PCI_RESOURCE_" + strings.ToUpper(strings.NewReplacer("/", "_", ".", "_").Replace(p.resource))
		given.Envs = map[string]string{name: strings.Join(addresses, ",")}
	}
	return given, nil
}

// groupOf returns the file of a device's IOMMU group, which is the launcher's from now on.
func groupOf(address string) (string, error) {
	link, err := os.Readlink(filepath.Join(pciDevices, address, "iommu_group"))
	if err != nil {
		return "", err
	}
	group := filepath.Join("/dev/vfio", filepath.Base(link))
	return group, os.Chown(group, user, user)
}
