module virt-launcher.test/pause

go 1.26.0
