"""Print the values of ATEN_CPU_CAPABILITY that this machine can run: torch's plain code, and each width of vectors."""

from torch.backends import cpu

X86 = ["default", "avx2", "avx512"]

widest = cpu.get_cpu_capability().lower()
print(*X86[: X86.index(widest) + 1] if widest in X86 else ["default", widest])
