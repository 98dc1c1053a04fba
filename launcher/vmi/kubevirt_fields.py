"""The names of KubeVirt's fields, to tell one that this program does not support from one that nobody has.

Loaded only for a manifest with a field that the schema lacks. Source: kubevirt.io/api/core/v1 (schema.go, types.go) of
August 2026, inlined structures merged; ObjectMeta from k8s.io/apimachinery.
"""

from __future__ import annotations

from difflib import get_close_matches

# Longer names are compared with nothing: comparing takes time quadratic in the length.
_LONGEST_COMPARED = 64

_FIELDS = {
    "VirtualMachineInstance": "apiVersion kind metadata spec status",
    "VirtualMachine": "apiVersion kind metadata spec status",
    "VirtualMachineSpec": (
        "running runStrategy instancetype preference template dataVolumeTemplates updateVolumesStrategy"
    ),
    "VirtualMachineInstanceTemplateSpec": "metadata spec",
    "InstancetypeMatcher": "name kind revisionName inferFromVolume inferFromVolumeFailurePolicy",
    "PreferenceMatcher": "name kind revisionName inferFromVolume inferFromVolumeFailurePolicy",
    "ObjectMeta": (
        "name generateName namespace selfLink uid resourceVersion generation creationTimestamp deletionTimestamp"
        " deletionGracePeriodSeconds labels annotations ownerReferences finalizers managedFields"
    ),
    "VirtualMachineInstanceSpec": (
        "priorityClassName domain nodeSelector affinity schedulerName serviceAccountName tolerations"
        " topologySpreadConstraints evictionStrategy startStrategy terminationGracePeriodSeconds volumes livenessProbe"
        " readinessProbe hostname subdomain networks dnsPolicy dnsConfig accessCredentials architecture resourceClaims"
        " utilityVolumes"
    ),
    "DomainSpec": (
        "resources cpu memory machine firmware clock features devices ioThreadsPolicy ioThreads chassis launchSecurity"
        " rebootPolicy"
    ),
    "CPU": (
        "cores sockets maxSockets threads model features dedicatedCpuPlacement numa isolateEmulatorThread realtime"
    ),
    "NUMA": "guestMappingPassthrough",
    "NUMAGuestMappingPassthrough": "",
    "Realtime": "mask",
    "Memory": "hugepages guest maxGuest reservedOverhead",
    "Hugepages": "pageSize",
    "ResourceRequirements": "requests limits overcommitGuestOverhead",
    "Machine": "type",
    "Firmware": "uuid bootloader serial kernelBoot acpi",
    "Bootloader": "bios efi",
    "BIOS": "useSerial",
    "KernelBoot": "kernelArgs container",
    "KernelBootContainer": "image imagePullSecret imagePullPolicy kernelPath initrdPath",
    "DiskIOThreads": "supplementalPoolThreadCount",
    "Devices": (
        "useVirtioTransitional disableHotplug disks watchdog interfaces inputs autoattachPodInterface"
        " autoattachGraphicsDevice autoattachSerialConsole logSerialConsole autoattachMemBalloon autoattachInputDevice"
        " autoattachVSOCK rng blockMultiQueue networkInterfaceMultiqueue gpus downwardMetrics panicDevices filesystems"
        " hostDevices clientPassthrough sound tpm video"
    ),
    "GPU": "name deviceName claimName requestName virtualGPUOptions tag",
    "VGPUOptions": "display",
    "VGPUDisplayOptions": "enabled ramFB",
    "HyperVPassthrough": "enabled",
    "HostDevice": "name deviceName claimName requestName tag",
    "VirtualMachineInstanceResourceClaim": "name resourceClaimName resourceClaimTemplateName",
    "Disk": (
        "name disk lun cdrom bootOrder serial dedicatedIOThread cache io tag blockSize shareable errorPolicy"
        " changedBlockTracking"
    ),
    "DiskTarget": "bus readonly pciAddress",
    "CDRomTarget": "bus readonly tray",
    "LunTarget": "bus readonly reservation",
    "Volume": (
        "name hostDisk persistentVolumeClaim cloudInitNoCloud cloudInitConfigDrive sysprep containerDisk ephemeral"
        " emptyDisk dataVolume configMap secret downwardAPI serviceAccount downwardMetrics memoryDump containerPath"
    ),
    "HostDisk": "path type capacity shared",
    "CPUFeature": "name policy",
    "Chassis": "manufacturer version serial asset sku",
    "EFI": "secureBoot persistent",
    "Clock": "utc timezone timer",
    "ClockOffsetUTC": "offsetSeconds",
    "Timer": "hpet kvm pit rtc hyperv",
    "HPETTimer": "tickPolicy present",
    "KVMTimer": "present",
    "PITTimer": "tickPolicy present",
    "RTCTimer": "tickPolicy present track",
    "HypervTimer": "present",
    "TLBFlush": "enabled direct extended",
    "ReservedOverhead": "addedOverhead memLock",
    "ACPI": "slicNameRef msdmNameRef",
    "ClientPassthroughDevices": "",
    "Features": "acpi apic hypervPassthrough hyperv smm kvm pvspinlock",
    "FeatureAPIC": "enabled endOfInterrupt",
    "FeatureSpinlocks": "enabled spinlocks",
    "FeatureVendorID": "enabled vendorid",
    "SyNICTimer": "enabled direct",
    "FeatureHyperv": (
        "relaxed vapic spinlocks vpindex runtime synic synictimer reset vendorid frequencies reenlightenment tlbflush"
        " ipi evmcs"
    ),
    "FeatureKVM": "hidden",
    "Interface": (
        "name model binding bridge slirp masquerade sriov macvtap passt passtBinding ports portRanges macAddress"
        " bootOrder pciAddress dhcpOptions tag acpiIndex state"
    ),
    "PortRange": "start end protocol",
    "DHCPOptions": "bootFileName tftpServerName ntpServers privateOptions",
    "DHCPPrivateOption": "option value",
    "ResourceClaimNetwork": "claimName requestName",
    "InterfaceBridge": "",
    "InterfaceSlirp": "",
    "InterfacePasst": "",
    "DeprecatedMacvtap": "",
    "InterfacePasstBinding": "",
    "PluginBinding": "name",
    "Port": "name protocol port",
    "Network": "name pod multus resourceClaim",
    "PodNetwork": "vmNetworkCIDR vmIPv6NetworkCIDR",
    "MultusNetwork": "networkName default",
    "Input": "bus type name",
    "SoundDevice": "name model",
    "TPMDevice": "enabled persistent",
    "Rng": "",
    "Watchdog": "name i6300esb diag288",
    "I6300ESBWatchdog": "action",
    "VideoDevice": "type",
    "PanicDevice": "model",
    "BlockSize": "custom matchVolume",
    "CustomBlockSize": "logical physical discardGranularity",
    "FeatureState": "enabled",
    "PersistentVolumeClaimVolumeSource": "claimName readOnly hotpluggable",
    "DataVolumeSource": "name hotpluggable",
    "EphemeralVolumeSource": "persistentVolumeClaim",
    "EphemeralClaim": "claimName readOnly",
    "ContainerDiskSource": "image imagePullSecret path imagePullPolicy",
    "EmptyDiskSource": "capacity",
    "CloudInitNoCloudSource": ("secretRef userDataBase64 userData networkDataSecretRef networkDataBase64 networkData"),
    "CloudInitConfigDriveSource": (
        "secretRef userDataBase64 userData networkDataSecretRef networkDataBase64 networkData"
    ),
    "SysprepSource": "secret configMap",
    "MemoryDumpVolumeSource": "claimName readOnly hotpluggable",
    "ContainerPathVolumeSource": "path readOnly",
    "DownwardMetrics": "",
    "DownwardMetricsVolumeSource": "",
    "Filesystem": "name virtiofs",
    "FilesystemVirtiofs": "",
    "AccessCredential": "sshPublicKey userPassword",
    "SSHPublicKeyAccessCredential": "source propagationMethod",
    "UserPasswordAccessCredential": "source propagationMethod",
    "CredentialSource": "secret",
    "AccessCredentialSecretSource": "secretName",
    "SSHPublicKeyAccessCredentialPropagationMethod": "configDrive noCloud qemuGuestAgent",
    "UserPasswordAccessCredentialPropagationMethod": "qemuGuestAgent",
    "NoCloudPropagation": "",
    "ConfigDrivePropagation": "",
    "QemuGuestAgentSSHPublicKeyAccessCredentialPropagation": "users",
    "QemuGuestAgentUserPasswordAccessCredentialPropagation": "",
    "Probe": (
        "exec guestAgentPing httpGet tcpSocket initialDelaySeconds timeoutSeconds periodSeconds successThreshold"
        " failureThreshold"
    ),
    "HTTPGetAction": "path port host scheme httpHeaders",
    "HTTPHeader": "name value",
    "TCPSocketAction": "port host",
    "ExecAction": "command",
    "GuestAgentPing": "",
    "PodDNSConfig": "nameservers searches options",
    "PodDNSConfigOption": "name value",
    "ConfigMapVolumeSource": "name optional volumeLabel",
    "SecretVolumeSource": "secretName optional volumeLabel",
    "ServiceAccountVolumeSource": "serviceAccountName",
    "DownwardAPIVolumeSource": "fields volumeLabel",
    "DownwardAPIVolumeFile": "path fieldRef resourceFieldRef mode",
    "ObjectFieldSelector": "apiVersion fieldPath",
    "ResourceFieldSelector": "containerName resource divisor",
    "LocalObjectReference": "name",
}


def is_known(struct: str, key: str) -> bool:
    """Tell whether KubeVirt's structure of this name has this field."""
    return key in _FIELDS.get(struct, "").split()


def nearest_field(struct: str, key: str, supported: tuple[str, ...]) -> str | None:
    """Return the field of this structure whose name is nearest to a misspelt one, regardless of case, or None."""
    if len(key) > _LONGEST_COMPARED:
        return None
    by_lower_case = {name.lower(): name for name in (*_FIELDS.get(struct, "").split(), *supported)}
    matches = get_close_matches(key.lower(), by_lower_case, n=1, cutoff=0.7)
    return by_lower_case[matches[0]] if matches else None
