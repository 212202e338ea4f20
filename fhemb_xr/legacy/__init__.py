"""Names of the original library, so that its notebooks run with their import line changed.

``from fhemb.X import Y`` becomes ``from fhemb_xr.legacy.X import Y``, or ``from fhemb_xr.legacy
import Y``. Everything is delegated, nothing is computed here. Series are always found by their
person's label, never by their position: in the original, people without a face shifted the
labels of all that followed. ``docs/legacy.md`` has every name beside its native call.
"""

from fhemb_xr.legacy.config.settings import FEATURE as FEATURE
from fhemb_xr.legacy.config.settings import THERMO_SR as THERMO_SR
from fhemb_xr.legacy.dbms.db import Datasource as Datasource
from fhemb_xr.legacy.dbms.db import DatasourceResized as DatasourceResized
from fhemb_xr.legacy.dvae.classifier import VAEClassifier as VAEClassifier
from fhemb_xr.legacy.embedding import Embedding as Embedding
from fhemb_xr.legacy.embedding import EmbeddingCollection as EmbeddingCollection
from fhemb_xr.legacy.logs import set_log_levels as set_log_levels
from fhemb_xr.legacy.logs import set_logger_level as set_logger_level
from fhemb_xr.legacy.logs import setup_logging as setup_logging
from fhemb_xr.legacy.piece import Piece as Piece
from fhemb_xr.legacy.utils.cutils import *  # noqa: F403
from fhemb_xr.legacy.utils.factories import ConcreteEmbFactory as ConcreteEmbFactory
from fhemb_xr.legacy.utils.factories import ConcretePcaFactory as ConcretePcaFactory
from fhemb_xr.legacy.utils.factories import pca_factory as pca_factory
from fhemb_xr.legacy.utils.factories import wfactories as wfactories
from fhemb_xr.legacy.utils.factories import wfactory as wfactory
from fhemb_xr.legacy.utils.tutils import makeVideo as makeVideo
from fhemb_xr.legacy.wdecomp import Wdecomposition as Wdecomposition
