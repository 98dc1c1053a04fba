package main

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The machine of a question as cAdvisor, the kubelet's eyes, reads it out of sysfs. What is not asked for is not there.
type machine struct {
	sysFs
	node *Node
}

const (
	nodeFolder = "/sys/devices/system/node"
	cpuFolder  = "/sys/devices/system/cpu"
	lastCache  = "index3"
)

func (m machine) GetNodesPaths() ([]string, error) {
	paths := []string{}
	for node := range m.node.Distances {
		paths = append(paths, path.Join(nodeFolder, fmt.Sprintf("node%d", node)))
	}
	return paths, nil
}

func (m machine) GetCPUsPaths(folder string) ([]string, error) {
	node, wanted := strings.CutPrefix(folder, nodeFolder+"/node")
	paths := []string{}
	for _, cpu := range m.node.CPUs {
		if !wanted || strconv.Itoa(cpu.Node) == node {
			paths = append(paths, path.Join(folder, fmt.Sprintf("cpu%d", cpu.CPU)))
		}
	}
	sort.Strings(paths)
	return paths, nil
}

func (m machine) GetCoreID(folder string) (string, error) {
	return m.number(folder, func(cpu CPU) int { return cpu.Core })
}

func (m machine) GetCPUPhysicalPackageID(folder string) (string, error) {
	return m.number(folder, func(cpu CPU) int { return cpu.Socket })
}

func (m machine) number(folder string, of func(CPU) int) (string, error) {
	for _, cpu := range m.node.CPUs {
		if path.Base(folder) == fmt.Sprintf("cpu%d", cpu.CPU) {
			return strconv.Itoa(of(cpu)), nil
		}
	}
	return "", os.ErrNotExist
}

func (m machine) IsCPUOnline(string) bool { return true }

func (m machine) GetMemInfo(string) (string, error) { return "", os.ErrNotExist }

func (m machine) GetHugePagesInfo(string) ([]os.FileInfo, error) { return nil, nil }

func (m machine) GetDistances(folder string) (string, error) {
	node, err := strconv.Atoi(strings.TrimPrefix(folder, nodeFolder+"/node"))
	if err != nil {
		return "", err
	}
	words := []string{}
	for _, distance := range m.node.Distances[node] {
		words = append(words, strconv.FormatUint(distance, 10))
	}
	return strings.Join(words, " "), nil
}

func (m machine) GetCaches(int) ([]os.FileInfo, error) { return []os.FileInfo{named(lastCache)}, nil }

func (m machine) GetCacheInfo(id int, _ string) (cacheInfo, error) {
	cache, level := -1, 0
	for _, cpu := range m.node.CPUs {
		if cpu.CPU == id {
			cache, level = cpu.Cache, cpu.CacheLevel
		}
	}
	sharing := 0
	for _, cpu := range m.node.CPUs {
		if cpu.Cache == cache {
			sharing++
		}
	}
	return cacheInfo{Id: cache, Size: 32 << 20, Level: level, Type: "Unified", Cpus: sharing}, nil
}

func (m machine) sockets() int {
	sockets := map[int]bool{}
	for _, cpu := range m.node.CPUs {
		sockets[cpu.Socket] = true
	}
	return len(sockets)
}

// A file of which only the name is looked at.
type named string

func (n named) Name() string { return string(n) }

func (named) Size() int64 { return 0 }

func (named) Mode() fs.FileMode { return fs.ModeDir }

func (named) ModTime() time.Time { return time.Time{} }

func (named) IsDir() bool { return true }

func (named) Sys() any { return nil }
