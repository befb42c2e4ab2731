"""Why a test may skip, and nothing else. `test_project.py` pins this list."""

DATA = "not in PLANISH_TEST_DATA"
JAVA = "Bio-Formats needs Java"
GPU = "no GPU for CuPy"
BROWSER = "no Chromium"

ALLOWED = {
    DATA: "real slides are never committed; they lie beside the checkout, or where PLANISH_TEST_DATA says",
    JAVA: "a test-time tool; scripts/setup installs its package, but no Java",
    BROWSER: "the viewer is tried in a real one; the operating system brings it, no wheel does",
    GPU: "few machines have one; the part of it that is plain array functions is tested on NumPy",
}
