//! `proofmesh service`: the machine as a service of systemd.

use crate::fault::{Fault, Result};
use crate::out::Context;
use std::path::{Path, PathBuf};

/// Subcommands.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write a systemd unit: hardened, restarted with growing pauses, giving way to everything else
    #[command(after_help = "\
Example:
  proofmesh service print | sudo tee /etc/systemd/system/proofmesh.service
  sudo systemctl daemon-reload && sudo systemctl enable --now proofmesh
  proofmesh doctor --dir /var/lib/proofmesh

State is in /var/lib/proofmesh, owned by a user of its own that systemd makes; the configuration there says what
runs (`proofmesh config set ... --dir /var/lib/proofmesh`).")]
    Print {
        /// The program [default: this one]
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// Most memory, as systemd writes it
        #[arg(long, default_value = "80%")]
        memory: String,
    },
}

/// Runs.
pub fn run(command: Command, context: &Context) -> Result<()> {
    let Command::Print { program, memory } = command;
    let own = || std::env::current_exe().map_err(|error| Fault::file(Path::new("proofmesh"), &error));
    let program = program.map_or_else(own, Ok)?;
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+%".contains(c));
    let path = program.to_string_lossy();
    if !program.is_absolute() || !plain(&path) || memory.is_empty() || !plain(&memory) {
        let expected = "an absolute path and a size, of letters, digits and / . _ - + %";
        return Err(Fault::misuse("service.form", expected, format_args!("{path:.80} and {memory:.20}")));
    }
    let text = unit(&path, &memory);
    context.print(&text, || text.clone())
}

/// The unit. `Nice`, `CPUWeight` and `IOWeight` let every other program go first; the owner's limits do the rest.
fn unit(program: &str, memory: &str) -> String {
    let program = program.replace('%', "%%");
    format!(
        "\
[Unit]
Description=Proofmesh: coordinator, nodes and page of this machine
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStartPre={program} config check --dir /var/lib/proofmesh
ExecStart={program} up --dir /var/lib/proofmesh
DynamicUser=yes
StateDirectory=proofmesh
StateDirectoryMode=0700
UMask=0077
Restart=always
RestartSec=1
RestartSteps=6
RestartMaxDelaySec=60
TimeoutStopSec=30
Nice=10
CPUWeight=20
IOWeight=20
MemoryMax={memory}
OOMPolicy=stop
LimitCORE=0
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=
AmbientCapabilities=

[Install]
WantedBy=multi-user.target
"
    )
}
