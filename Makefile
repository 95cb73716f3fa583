# Builds with Cargo, and installs what it has built: the C library, its header, and the command.
#
#     make && sudo make install                   # into /usr/local
#     make && make install PREFIX=$HOME/.local    # for one user
#     make install DESTDIR=stage PREFIX=/usr LIBDIR=/usr/lib64    # for a package
#     sudo make install-dropin                    # the drop-in for librepo: see docs/librepo.md
#
# `install` copies; it builds only where nothing has been built. `uninstall`, with the same
# variables, removes what `install` has installed.
.POSIX:

PREFIX = /usr/local
BINDIR = $(PREFIX)/bin
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
PKGCONFIGDIR = $(LIBDIR)/pkgconfig
DATADIR = $(PREFIX)/share
MANDIR = $(DATADIR)/man
BASHCOMPDIR = $(DATADIR)/bash-completion/completions
ZSHCOMPDIR = $(DATADIR)/zsh/site-functions
FISHCOMPDIR = $(DATADIR)/fish/vendor_completions.d
SYSCONFDIR = /etc

CARGO = cargo
CARGOFLAGS =
PROFILE = release
CARGO_TARGET_DIR ?= target
# Where Cargo puts what it builds; another directory if CARGOFLAGS has --target.
OUT = $(CARGO_TARGET_DIR)/$(PROFILE)
INSTALL = install
LDCONFIG = ldconfig

VERSION != sed -n '/^version = /{ s/.*"\(.*\)"/\1/p; q; }' Cargo.toml
# The number in the soname, by the rule of build.rs: 0.MINOR, and from 1.0 on MAJOR.
SOVERSION != echo "$(VERSION)" | sed -e '/^0\./!s/\..*//' -e 's/^\(0\.[0-9]*\)\..*/\1/'

# Of the library's page, each function has a link.
PAGES = fastestmirror.1 fastestmirror.3 fastestmirror.7

# The loader's cache changes with what root installs on this machine.
REFRESH = if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then $(LDCONFIG); fi

all:
	$(CARGO) build --locked --profile $(PROFILE) --target-dir "$(CARGO_TARGET_DIR)" $(CARGOFLAGS) \
	    -p fastestmirror -p fastestmirror-cli
	for shell in bash zsh fish; do $(OUT)/fastestmirror --generate $$shell >$(OUT)/completions.$$shell || exit 1; done

$(OUT)/completions.fish:
	$(MAKE) all

install: $(OUT)/completions.fish
	for directory in "$(BINDIR)" "$(LIBDIR)" "$(INCLUDEDIR)" "$(PKGCONFIGDIR)" "$(BASHCOMPDIR)" "$(ZSHCOMPDIR)" "$(FISHCOMPDIR)"; do \
	    $(INSTALL) -d "$(DESTDIR)$$directory" || exit 1; \
	done
	$(INSTALL) -m 755 $(OUT)/fastestmirror "$(DESTDIR)$(BINDIR)"
	$(INSTALL) -m 755 $(OUT)/libfastestmirror.so "$(DESTDIR)$(LIBDIR)/libfastestmirror.so.$(VERSION)"
	ln -sf libfastestmirror.so.$(VERSION) "$(DESTDIR)$(LIBDIR)/libfastestmirror.so.$(SOVERSION)"
	ln -sf libfastestmirror.so.$(SOVERSION) "$(DESTDIR)$(LIBDIR)/libfastestmirror.so"
	$(INSTALL) -m 644 $(OUT)/libfastestmirror.a "$(DESTDIR)$(LIBDIR)"
	$(INSTALL) -m 644 include/fastestmirror.h "$(DESTDIR)$(INCLUDEDIR)"
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|' \
	    -e 's|=$(PREFIX)/|=$${prefix}/|' fastestmirror.pc.in >"$(DESTDIR)$(PKGCONFIGDIR)/fastestmirror.pc"
	chmod 644 "$(DESTDIR)$(PKGCONFIGDIR)/fastestmirror.pc"
	$(INSTALL) -m 644 $(OUT)/completions.bash "$(DESTDIR)$(BASHCOMPDIR)/fastestmirror"
	$(INSTALL) -m 644 $(OUT)/completions.zsh "$(DESTDIR)$(ZSHCOMPDIR)/_fastestmirror"
	$(INSTALL) -m 644 $(OUT)/completions.fish "$(DESTDIR)$(FISHCOMPDIR)/fastestmirror.fish"
	for page in $(PAGES); do \
	    section="$(DESTDIR)$(MANDIR)/man$${page##*.}"; \
	    $(INSTALL) -d "$$section" && $(INSTALL) -m 644 "docs/man/$$page" "$$section" || exit 1; \
	done
	for function in $$(cat tests/c/symbols.txt); do \
	    page="$(DESTDIR)$(MANDIR)/man3/$$function.3"; \
	    echo '.so man3/fastestmirror.3' >"$$page" && chmod 644 "$$page" || exit 1; \
	done
	$(REFRESH)

uninstall:
	rm -f "$(DESTDIR)$(BINDIR)/fastestmirror" "$(DESTDIR)$(INCLUDEDIR)/fastestmirror.h"
	rm -f "$(DESTDIR)$(PKGCONFIGDIR)/fastestmirror.pc"
	rm -f "$(DESTDIR)$(BASHCOMPDIR)/fastestmirror" "$(DESTDIR)$(ZSHCOMPDIR)/_fastestmirror"
	rm -f "$(DESTDIR)$(FISHCOMPDIR)/fastestmirror.fish"
	for suffix in a so so.$(SOVERSION) so.$(VERSION); do rm -f "$(DESTDIR)$(LIBDIR)/libfastestmirror.$$suffix"; done
	for page in $(PAGES) $$(sed 's/$$/.3/' tests/c/symbols.txt); do \
	    rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; \
	done
	$(REFRESH)

# LIBREPO is the path of the librepo.so.0 that the drop-in stands before; without it, that of this
# machine is used. ACTIVATE=no leaves out the file in ld.so.conf.d that puts the drop-in into
# effect. Its name begins with 00: directories are searched in the order of those files, and on some
# machines one of them (aarch64-linux-gnu.conf) names the directory of librepo itself.
LIBREPO =
ACTIVATE = yes
LIBEXECDIR = $(PREFIX)/libexec
DROPIN_PAGES = fm-librepo.1 fastestmirror.conf.5
DROPINDIR = $(LIBDIR)/fastestmirror
REPORT = $(LIBEXECDIR)/fastestmirror/report-librepo
ACTIVATION = $(SYSCONFDIR)/ld.so.conf.d/00-fastestmirror-librepo.conf
CC = cc
CFLAGS ?= -O2
LDFLAGS ?=

# The settings are read from the directory that is known when the drop-in is built.
$(OUT)/libfastestmirror_librepo.a:
	FASTESTMIRROR_SYSCONFDIR="$(SYSCONFDIR)" $(CARGO) build --locked --profile $(PROFILE) \
	    --target-dir "$(CARGO_TARGET_DIR)" $(CARGOFLAGS) -p fastestmirror-librepo

# A drop-in that cannot be loaded would keep dnf from starting, so it is tried first.
install-dropin: $(OUT)/libfastestmirror_librepo.a
	$(INSTALL) -d "$(DESTDIR)$(BINDIR)" "$(DESTDIR)$(DROPINDIR)" "$(DESTDIR)$(LIBEXECDIR)/fastestmirror"
	CC="$(CC)" LDFLAGS="$(LDFLAGS)" dropin/directory/link $(OUT)/libfastestmirror_librepo.a \
	    "$(DESTDIR)$(DROPINDIR)/librepo.so.0" "$(LIBREPO)"
	$(CC) $(CFLAGS) $(LDFLAGS) -o "$(DESTDIR)$(REPORT)" dropin/directory/report.c -ldl
	sed -e 's|@DROPINDIR@|$(DROPINDIR)|; s|@REPORT@|$(REPORT)|; s|@ACTIVATION@|$(ACTIVATION)|; s|@VERSION@|$(VERSION)|' \
	    dropin/directory/fm-librepo.in >"$(DESTDIR)$(BINDIR)/fm-librepo"
	chmod 755 "$(DESTDIR)$(BINDIR)/fm-librepo" "$(DESTDIR)$(REPORT)"
	settings="$(DESTDIR)$(SYSCONFDIR)/fastestmirror.conf"; \
	if [ -f dropin/fastestmirror.conf ] && ! [ -e "$$settings" ]; then \
	    $(INSTALL) -d "$(DESTDIR)$(SYSCONFDIR)" && $(INSTALL) -m 644 dropin/fastestmirror.conf "$$settings"; \
	fi
	for page in $(DROPIN_PAGES); do \
	    section="$(DESTDIR)$(MANDIR)/man$${page##*.}"; \
	    $(INSTALL) -d "$$section" && $(INSTALL) -m 644 "docs/man/$$page" "$$section" || exit 1; \
	done
	if [ -z "$(DESTDIR)" ] && ! report=$$(LD_LIBRARY_PATH="$(DROPINDIR)" "$(REPORT)"); then \
	    echo "$$report"; echo 'The drop-in cannot be loaded, and is not put into effect.'; exit 1; \
	fi
	if [ "$(ACTIVATE)" != no ]; then \
	    $(INSTALL) -d "$$(dirname "$(DESTDIR)$(ACTIVATION)")" && \
	    echo "$(DROPINDIR)" >"$(DESTDIR)$(ACTIVATION)" && chmod 644 "$(DESTDIR)$(ACTIVATION)"; \
	fi
	$(REFRESH)
	@echo "\`$(BINDIR)/fm-librepo --check\` says whether the drop-in is in effect."

# A file of settings that has been changed stays.
uninstall-dropin:
	rm -f "$(DESTDIR)$(ACTIVATION)"
	$(REFRESH)
	rm -f "$(DESTDIR)$(BINDIR)/fm-librepo" "$(DESTDIR)$(REPORT)" "$(DESTDIR)$(DROPINDIR)/librepo.so.0"
	settings="$(DESTDIR)$(SYSCONFDIR)/fastestmirror.conf"; \
	if cmp -s dropin/fastestmirror.conf "$$settings"; then rm -f "$$settings"; fi
	for page in $(DROPIN_PAGES); do rm -f "$(DESTDIR)$(MANDIR)/man$${page##*.}/$$page"; done
	-rmdir "$(DESTDIR)$(DROPINDIR)" "$(DESTDIR)$(LIBEXECDIR)/fastestmirror"

.PHONY: all install uninstall install-dropin uninstall-dropin
