"""Many cases in one run: resume, failures kept apart, local processes or a Dask cluster, one table at the end."""

from .cases import Case
from .find import find_cases
from .options import BatchOptions
from .record import CaseRecord
from .run import BatchResult, run_batch

__all__ = ["BatchOptions", "BatchResult", "Case", "CaseRecord", "find_cases", "run_batch"]
