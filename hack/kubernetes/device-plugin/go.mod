module virt-launcher.test/device-plugin

go 1.26.0
