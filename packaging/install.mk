# SPDX-License-Identifier: MPL-2.0
# make install    the library, shared and static, headers, man pages, files for pkg-config and CMake
# make uninstall  removes what `make install` put there
# make deb        two Debian packages that stand in for libzmq5 and libzmq3-dev, in build/deb
# PREFIX, LIBDIR and so on say where the files will be used; DESTDIR, where a package is put
# together, is set in front of them and written nowhere. STRIP=: keeps the debug information.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
CMAKEDIR ?= $(LIBDIR)/cmake/ZeroMQ
INSTALL ?= install
STRIP ?= strip --strip-unneeded

# The version that zmq_version answers, from the header.
zmq_h = $(shell sed -n 's/^.define ZMQ_VERSION_$1 *//p' include/zmq.h)
ZMQ_VERSION := $(call zmq_h,MAJOR).$(call zmq_h,MINOR).$(call zmq_h,PATCH)
# As libzmq's: 5.2.4 was the file of 4.3.4.
SO_NAME := libzmq.so.5
SO_FILE := $(SO_NAME).2.$(call zmq_h,PATCH)

MAN_PAGES := $(wildcard man/*.3 man/*.7)
HEADERS := zmq.h zmq_utils.h
CMAKE_FILES := ZeroMQConfig.cmake ZeroMQConfigVersion.cmake

# What a static link needs: threads and such, and the libraries that the shared one is linked to.
PRIVATE_LIBS = pthread dl m $(shell readelf -d $(TARGET_DIR)/release/libzmq.so | \
	sed -n 's/.*(NEEDED).*\[lib\([a-z0-9_+-]*\)\.so.*/\1/p' | grep -vxE 'c|gcc_s|m|dl|pthread|rt')

below_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$1)
FILL_IN = sed -e 's|@PREFIX@|$(PREFIX)|g' -e 's|@LIBDIR@|$(call below_prefix,$(LIBDIR))|g' \
	-e 's|@INCLUDEDIR@|$(call below_prefix,$(INCLUDEDIR))|g' -e 's|@VERSION@|$(ZMQ_VERSION)|g' \
	-e 's|@SO_NAME@|$(SO_NAME)|g' -e 's|@SO_FILE@|$(SO_FILE)|g' \
	-e 's|@PRIVATE_LIBS@|$(PRIVATE_LIBS:%=-l%)|g' \
	-e "s|@CMAKE_TO_LIBDIR@|$$(realpath -ms --relative-to='$(CMAKEDIR)' '$(LIBDIR)')|g" \
	-e "s|@CMAKE_TO_INCLUDEDIR@|$$(realpath -ms --relative-to='$(CMAKEDIR)' '$(INCLUDEDIR)')|g"

# Under sudo there may be no cargo; what an earlier `make` built is installed then.
install: $(if $(shell command -v $(CARGO)),all)
	$(INSTALL) -d '$(DESTDIR)$(LIBDIR)' '$(DESTDIR)$(INCLUDEDIR)' '$(DESTDIR)$(PKGCONFIGDIR)' \
		'$(DESTDIR)$(CMAKEDIR)' '$(DESTDIR)$(MANDIR)/man3' '$(DESTDIR)$(MANDIR)/man7'
	$(INSTALL) -m 644 $(TARGET_DIR)/release/libzmq.so '$(DESTDIR)$(LIBDIR)/$(SO_FILE)'
	$(STRIP) '$(DESTDIR)$(LIBDIR)/$(SO_FILE)'
	ln -sfn $(SO_FILE) '$(DESTDIR)$(LIBDIR)/$(SO_NAME)'
	ln -sfn $(SO_NAME) '$(DESTDIR)$(LIBDIR)/libzmq.so'
	sh packaging/static-library.sh $(TARGET_DIR)/release/libzmq '$(DESTDIR)$(LIBDIR)/libzmq.a'
	$(INSTALL) -m 644 $(HEADERS:%=include/%) '$(DESTDIR)$(INCLUDEDIR)'
	@$(FILL_IN) packaging/libzmq.pc.in >'$(DESTDIR)$(PKGCONFIGDIR)/libzmq.pc'
	@for file in $(CMAKE_FILES); do \
		$(FILL_IN) packaging/$$file.in >"$(DESTDIR)$(CMAKEDIR)/$$file" || exit 1; done
	sh packaging/man-pages.sh install '$(DESTDIR)$(MANDIR)' $(MAN_PAGES)

uninstall:
	rm -f '$(DESTDIR)$(LIBDIR)/$(SO_FILE)' '$(DESTDIR)$(LIBDIR)/$(SO_NAME)' \
		'$(DESTDIR)$(LIBDIR)/libzmq.so' '$(DESTDIR)$(LIBDIR)/libzmq.a' \
		$(HEADERS:%='$(DESTDIR)$(INCLUDEDIR)/%') '$(DESTDIR)$(PKGCONFIGDIR)/libzmq.pc' \
		$(CMAKE_FILES:%='$(DESTDIR)$(CMAKEDIR)/%')
	-rmdir '$(DESTDIR)$(CMAKEDIR)'
	sh packaging/man-pages.sh uninstall '$(DESTDIR)$(MANDIR)' $(MAN_PAGES)

deb: all
	MAKE="$(MAKE)" sh packaging/debian/build.sh build/deb

.PHONY: install uninstall deb
