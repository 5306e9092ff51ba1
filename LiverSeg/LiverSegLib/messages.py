"""Every sentence that a user can meet, in one place, so that Slicer can translate them.

Values are filled in by name: ``raise InputError(messages.EMPTY_FILE.format(path=path))``. A sentence about a problem
also tells the next step. Slicer's lupdate collects the ``_("...")`` calls, so each of them holds a plain text.
"""

from .i18n import tr as _

# ---- the parts of longer texts ---------------------------------------------------------------------------------------

ONE_OF = _("{others} or {last}")
NONE = _("none")
UNKNOWN = _("unknown")

# ---- the volume ------------------------------------------------------------------------------------------------------

NOT_3D = _("{name} has {dimensions} dimensions; give one 3D CT volume (one time point, no colour).")
NO_VOXELS = _("{name} has no voxels (shape {shape}); export the CT again.")
NOT_NUMBERS = _("{name} holds voxels of type {dtype}, not numbers; give a CT in Hounsfield units.")
COMPLEX_NUMBERS = _("{name} holds complex numbers; give a CT in Hounsfield units.")
COLOUR_PICTURE = _("{name} is a colour picture; give a CT in Hounsfield units.")
NOT_FINITE = _("{name} holds NaN or infinite voxels; replace them, for example by -1024 HU (air).")
CONSTANT = _("{name} is constant ({hu} HU); check that the export holds the image in HU.")
NO_POSITION = _(
    "{name} has no valid position in the patient ({missing}); "
    "convert it again from DICOM with its orientation and spacing."
)
MISSING_INVERSE = _("its affine cannot be inverted")
MISSING_SPACE = _("no space of the patient in its header")
MISSING_DIRECTIONS = _("no space directions in its header")
MISSING_SPACING = _("no ElementSpacing in its header")
MISSING_FORM = _("neither sform nor qform is set")
MISSING_LENGTHS = _("the lengths of its voxels in pixdim are not above 0")
MISSING_QFORM = _("its qform holds NaN or infinity")
FORMS_DIFFER = _(
    "{name} says in two ways where it lies, and sform differs from qform and pixdim by up to {distance:.4g} mm: "
    "the result follows the sform, and 3D Slicer may show the CT elsewhere; "
    "use .nii.gz for the result, which lies on the CT in every viewer, or convert the CT again from DICOM."
)
INTERCEPT_WITHOUT_SLOPE = _(
    "{name} has an intercept of {intercept:g} but no slope, and some readers add it; it was not added here: "
    "check that the values are HU, or convert the CT again from DICOM."
)

# ---- files -----------------------------------------------------------------------------------------------------------

NO_FILE = _("{path} does not exist or may not be read; check the path.")
NAME_IS_NO_TEXT = _("The name {path} is no text in UTF-8; choose another name for the file or folder.")
UNKNOWN_FORMAT = _("{path} is of no known format; give {formats}.")
EMPTY_FILE = _("{path} is empty (0 bytes); copy or download it again.")
TRUNCATED_FILE = _("{path} is shorter than its header promises; copy or download it again.")
NOT_READ_BECAUSE = _("{path} cannot be read ({reason}); check its permissions, or copy it to another place.")
LONGER_FILE = _("{path} is longer than its header promises; copy or download it again, or convert it again from DICOM.")
UNREADABLE_FILE = _("{path} cannot be read, it may be damaged or truncated; copy or download it again.")
UNREADABLE_HEADER = _("{path} cannot be read: {problem}; copy or download it again, or convert it to .nii.gz.")
HEADER_LACKS = _("its header lacks {field}")
HEADER_SAYS = _("its header says “{line}”, which is damaged, contradicts the rest or is not known here")
HEADER_NOT_IN_LINES = _("its header is cut short, longer than 1 MB, or has lines that end in CR alone or hold a NUL")
NOT_OF_ITS_FORMAT = _(
    "{path} does not begin as a file of its format does; copy or download it again, or convert it again from DICOM."
)
ARCHIVE = _("{path} is packed ({kind}); give the file or the folder that it holds, unpacked.")
AXES_CONTRADICT = _(
    "The header of {name} says that its axes run {letters}, and its directions say otherwise; "
    "check left and right, or convert it again from DICOM."
)
PLACE_ASSUMED = _(
    "The header of {name} lacks {field}, so its place in the patient is a guess; "
    "check left and right, or convert it again from DICOM."
)
FORMAT_NOT_WRITABLE = _("The format of {path} cannot be written; use {formats}.")
NOT_WRITTEN = _("{path} could not be written; free some space or choose another place.")
NOT_WRITTEN_BECAUSE = _("{path} could not be written ({reason}); free some space or choose another place.")
NO_FOLDER = _("The folder {folder} does not exist; create it or choose another output.")
FOLDER_NOT_MADE = _("The folder {folder} cannot be made ({reason}); choose another.")
FOLDER_NOT_WRITABLE = _("The folder {folder} cannot be written ({reason}); choose another output.")
NO_GRID_FOR_NIFTI = _(
    "The size or the place of this image does not fit into the header of the NIfTI file {path}; use .nrrd instead."
)
VOXELS_ELSEWHERE = _(
    "{path} says that its voxels are in another file, which is not looked at; "
    "convert it to one file that holds both header and voxels."
)
NOT_REPLACEABLE = _("{path} is not a file that can be replaced; choose another name for the output.")

NO_SERIES = _("{folder} holds no DICOM series; give the folder that holds the slices themselves.")
SEVERAL_SERIES = _("{folder} holds {count} series ({found}); put the CT series into a folder of its own.")
SERIES = _("{description}, {modality}, {count} files")
SERIES_OF_ONE_FILE = _("{description}, {modality}, 1 file")
NO_DESCRIPTION = _("no description")
WRONG_MODALITY = _("{folder} holds a series of modality {modality}; give a CT or MR series.")
UNASKED_MODALITY = _(
    "{folder} holds a series of modality {modality}, and {asked} was asked for; choose another folder or modality."
)
SEVERAL_PATIENTS = _(
    "{folder} holds {count} series of {patients} patients ({found}); put the CT series into a folder of its own."
)
PATIENTS_IN_SERIES = _("The DICOM series {series} holds slices of {count} patients; export the series of each again.")
NO_CT_SLICES = _(
    "{folder} holds no slices of a CT or MR ({reasons}); give the folder that holds the slices themselves."
)
UNREADABLE_SLICE = _("{path} cannot be read, it may be damaged or truncated; export or download the series again.")
AND_MORE = _("{first} (and {count} more)")
UNKNOWN_COMPRESSION = _(
    "{path} in {series} is compressed in a way that cannot be read ({syntax}); export it uncompressed."
)
NO_TEMPORARY_FILE = _(
    "{path} in {series} is unpacked through a temporary file, which could not be written to {folder} ({reason}); "
    "free some space there, or set TMPDIR to another folder."
)
TOO_MUCH_PROMISED = _(
    "The DICOM series {series} promises {promised:.1f} GB of voxels in {held:.1f} MB of files, which no CT fits into; "
    "export it again uncompressed."
)
NO_SLICE = _(
    "{path} is no slice of a CT or MR ({reason}); give a slice, or the folder that holds the slices themselves."
)
SERIES_WITHOUT_POSITION = _(
    "{path} in {series} has no valid position in the patient (its {element} is missing or impossible); "
    "export the series again."
)
NO_RESCALE = _(
    "{path} in {series} does not tell how its stored numbers become HU (its {element} is no valid number, or is given "
    "twice); export the series again."
)
RESCALED_BY_TABLE = _(
    "{path} in {series} holds numbers that a table (Modality LUT) turns into HU, which is not known here; "
    "export it with rescale slope and intercept."
)
FRAMES_WITHOUT_POSITION = _(
    "{path} in {series} holds {count} frames and does not tell where each of them lies; "
    "export it as single slices or as an enhanced CT."
)
UNLIKE_SLICES = _(
    "The slices of the DICOM series {series} differ in size, pixel spacing, direction or rescaling; "
    "export the slices of one reconstruction."
)
SAME_PLACE = _(
    "The DICOM series {series} holds different images in the same place, {first} and another; "
    "export one phase or reconstruction."
)
UNEVEN_SERIES = _(
    "The DICOM series {series} misses slices or is unevenly spaced "
    "({narrowest:.2f} to {widest:.2f} mm between slices, {usual:.2f} mm as a rule); export it again whole."
)
TILTED_GANTRY = _(
    "The gantry was tilted by {degrees:.1f} degrees: the result lies on the tilted slices as they were acquired; "
    "use .nrrd or .seg.nrrd for viewers that know neither sheared NIfTI files nor a DICOM SEG of tilted slices."
)

SPACING_CONTRADICTS_POSITIONS = _(
    "The headers give {told:.2f} mm between slices, and positions {apart:.2f} mm apart, which were used; "
    "check which of them is right, since the volume depends on it."
)

NO_HIGHDICOM = _("DICOM objects are written by highdicom, which is missing; install it: pip install highdicom.")
NOT_TO_BE_REFERRED_TO = _(
    "No DICOM object can refer to the series {series} (its files lack {missing}, or differ in it); "
    "choose .nii.gz or .seg.nrrd instead."
)
NOT_TO_BE_TOLD_APART = _(
    "Slices of the series {series} have the same SOPInstanceUID, so that no DICOM object can tell which one it means; "
    "export the series again, or choose .nii.gz or .seg.nrrd instead."
)
HEADERS_DO_NOT_FIT = _(
    "The headers of the series {series} do not fit into a new DICOM object ({kind}); "
    "choose .nii.gz or .seg.nrrd instead."
)
SEVERAL_MULTI_FRAME = _(
    "The series {series} has {count} multi-frame files, and a DICOM SEG can refer to one; "
    "choose .nii.gz or .seg.nrrd instead."
)
SEG_NEEDS_DICOM = _(
    "{path} is to be a DICOM SEG, which refers to the slices of a DICOM series, and {ct} is none; "
    "choose .nii.gz, .nii, .nrrd or .seg.nrrd instead."
)
MEASUREMENTS_NEED_SEG = _("The measurements {path} refer to a DICOM SEG; give -o a name that ends in .dcm as well.")
NOT_A_DICOM_NAME = _("{path} is to be a DICOM file; choose a name that ends in .dcm.")

# What a series may lack.
LEFT_OUT_OF_SERIES = _(
    "Files of this series were left out ({reasons}), and the result lacks what they hold; "
    "export the series again if they are slices of it."
)
UNREADABLE_BESIDE_SERIES = _(
    "DICOM files beside this series cannot be read ({count}), and the result lacks them if they are slices of it; "
    "export the series again."
)

# Why a DICOM file is left out.
LOCALIZER = _("localizer")
SECONDARY_CAPTURE = _("secondary capture")
OTHER_MODALITY = _("modality {modality}")
NO_IMAGE = _("no image of a CT or MR series")
NO_SERIES_UID = _("no SeriesInstanceUID, as anonymising can leave it: convert such slices to NIfTI first")
DAMAGED_OR_TRUNCATED = _("cannot be read, it may be damaged or truncated")

# ---- what the CT is doubtful for -------------------------------------------------------------------------------------

SPAN_TOO_SMALL = _(
    "The values of {name} ({lowest} to {highest}) span too little for a CT; "
    "give the image in HU, not a label map or a normalised image, "
    "or choose MR as the modality if it is one (--modality mr)."
)
STORED_WITH_OFFSET = _(
    "The values of {name} ({lowest} to {highest}) look like HU + {offset}; "
    "if this is a CT, convert it again from DICOM with its rescale intercept."
)
NOT_HU = _(
    "The values of {name} ({lowest} to {highest}) do not look like HU (is it MR or PET?); give a CT in HU, "
    "or choose MR as the modality if it is one (--modality mr)."
)
LABEL_MAP = _(
    "{name} holds areas of one value each ({lowest} to {highest}), as a label map or mask does; "
    "give the CT that it was drawn on."
)
FILLED = _(
    "{share:.0%} of {name} hold exactly {hu} HU, as resampling or masking fills in: that was taken for air; "
    "use -1024 HU as the value to fill in."
)
EIGHT_BIT = _(
    "{name} holds values from 0 to 255 as a picture does, not HU: the result is doubtful; "
    "export the CT again from DICOM if you can, or choose MR as the modality if it is one (--modality mr)."
)
SINGLE_SLICE = _(
    "{name} has a single axial slice: the result is less certain, and its volume is that of the slice; "
    "use the whole series if there is one."
)
THICK_SLICES = _(
    "The slices are {spacing:.3g} mm apart: the result is coarse; "
    "use a series with at most {largest:g} mm if there is one."
)
FEW_PIXELS = _(
    "The slices have only {rows} × {columns} pixels: the result is coarse; use the series in its full resolution."
)
NO_PATIENTS_SIZE = _(
    "{name} measures {size} mm, with voxels of {spacing} mm, which no CT of a patient does; "
    "convert it again from DICOM with its spacing."
)
TOO_LARGE_UPRIGHT = _("{name} is oblique and too large to be resampled along the patient; crop it to the liver first.")
UNUSUAL_FIELD_OF_VIEW = _(
    "The slices measure {rows:.0f} × {columns:.0f} mm, which is unusual; check the pixel spacing of {name}."
)

# ---- what the result is doubtful for ---------------------------------------------------------------------------------

SEGMENTED_AS_MR = _(
    "{name} was segmented as MR, which is experimental: look at all slices; "
    "choose CT as the modality if it is one (--modality ct)."
)
MR_LIVER_ALONE = _(
    "Tumours, segments, vessels and spleen were left out, as they are found in CT alone; use a CT for them."
)
NETWORK_FOR_MR = _("The network {name} is for MR, and {volume} is none; use the bundled network.")
NO_SUCH_MODALITY = _("There is no modality called {modality}; use auto, ct or mr.")
NO_ATTENUATION_IN_MR = _("{name} is MR, which has no attenuation to measure; give a CT.")
MR_EXPERIMENTAL = _("MR (experimental)")
NO_LIVER_IN_MR = _("No liver was found in this MR; check that it covers the upper abdomen.")
NO_LIVER = _("No liver was found; check that the scan covers the upper abdomen and that its values are HU.")
LIVER_CUT_AT_ENDS = _(
    "The liver reaches the scan's first or last slice: it may be cut off, and its volume be larger; "
    "use a scan that covers all of it if there is one."
)
LIVER_CUT_AT_SIDE = _(
    "The liver reaches the scan's side: it may be cut off, and its volume be larger; "
    "use a scan that covers all of it if there is one."
)
LIVER_CUT_AT_ENDS_AND_SIDE = _(
    "The liver reaches the scan's first or last slice and side: it may be cut off, and its volume be larger; "
    "use a scan that covers all of it if there is one."
)
UNUSUAL_VOLUME = _(
    "A liver of {volume:.0f} ml is unusual ({smallest:.0f} to {largest:.0f} ml expected); look at the result."
)
CHECK_THIS_RESULT = _(
    "The network is unsure of this liver (expected Dice {quality:.2f}); check this result on all its slices."
)
MIRRORED = _(
    "{name} looks like the mirror image of a patient: left and right, or front and back, may be exchanged; "
    "check them against the DICOM images."
)
SEPARATE_PIECES = _("The liver was found in {count} separate pieces; check that each of them is liver.")
LOOKED_LIKE_LIVER = _(
    "{ml:.0f} ml away from the liver, most of it in slice {number}, looked like liver, too, and were left out; "
    "check that none of it is."
)

# ---- the network and its device --------------------------------------------------------------------------------------

BAD_MODEL_CARD = _("The model card {path} is missing or damaged ({reason}); install the extension again.")
MODEL_UNLIKE_CARD = _("The model file {path} does not match its card; install the extension again.")
WRONG_MODEL = _("The model file {path} does not hold this network; install the extension again.")
MODEL_TOO_LARGE = _("The model file {path} is larger than any of ours; install the extension again.")
UNREADABLE_MODEL = _("The model file {path} cannot be read; install the extension again.")

NO_DEVICE = _("There is no device called {name}; use auto, cpu, cuda, cuda:N or mps.")
UNSUPPORTED_DEVICE = _("The device {name} is not supported; use auto, cpu, cuda, cuda:N or mps.")
NO_GPU = _("There is no GPU {name}: PyTorch sees {count} CUDA devices; use auto or cpu.")
NO_APPLE_GPU = _("This computer has no Apple GPU that PyTorch can use; use auto or cpu.")
GPU_WITHOUT_KERNEL = _(
    "The GPU {device} is there but cannot run the network ({reason}); the CPU was used. "
    "Install a PyTorch build that supports this GPU to use it."
)
WRONG_NUMBERS = _("it computes wrong numbers")
GPU_OUT_OF_MEMORY = _(
    "The GPU {device} has too little free memory; the CPU was used. "
    "Close other programs that use the GPU, then start again."
)
GPU_FAILED = _(
    "The GPU {device} failed while it was computing ({reason}); the CPU was used. "
    "Restart the program to use the GPU again, and update its driver if this comes back."
)
OUT_OF_MEMORY = _("There is too little memory to segment this volume; close other programs or crop it.")

# ---- corrections by strokes ------------------------------------------------------------------------------------------

NO_STROKE = _("There is no stroke to correct the liver by; mark at least one point as liver or as not liver.")
NO_POINTS_FORMAT = _(
    "{path} is no list of points; give a Markups JSON of Slicer (.mrk.json), "
    "or a .csv with the columns r, a, s and liver."
)
POINTS_DAMAGED = _("{path} cannot be read as a list of points ({reason}); save it again.")
POINTS_TOO_LARGE = _("it is larger than 10 MB")
POINTS_NOT_IN_MM = _("its coordinates are not in mm")
POINTS_LACK_COLUMNS = _("these columns are missing: {columns}")
POINT_WITHOUT_PLACE = _("a point has no place in a scanner")
POINT_UNTOLD = _(
    "{path} does not tell whether point {number} (“{label}”) is liver; "
    "call it, or its list, “liver” or “not liver”, or write 1 or 0 into the column liver."
)
NO_POINTS = _("{path} holds no point; mark at least one as liver or as not liver.")
NO_CORRECTION_OF_MR = _("Strokes correct results on CT alone; give none, or paint in the Segment Editor.")
STROKE_OUTSIDE = _("Stroke {number} lies outside of {name}; take it back, or check that it was drawn on this scan.")

# ---- a planned resection --------------------------------------------------------------------------------------------

NO_SUCH_COUINAUD_SEGMENT = _("There is no Couinaud segment {numbers}; give numbers from 1 to 8.")
NO_SUCH_HEPATECTOMY = _("There is no hepatectomy called {name}; choose one of these: {known}.")
NO_SEGMENTS_TO_REMOVE = _("This result has no Couinaud segments; segment the CT again with them.")
BODY_WITHOUT_RESECTION = _("Weight and height belong to a planned resection; give --resection or --remove.")
CT_OF_ANOTHER_GRID = _("{ct} lies on another voxel grid than {result}; give the CT that it was made of.")
SEGMENTS_UNLIKE_LIVER = _(
    "The Couinaud segments are not the liver ({segments:.0f} ml and {liver:.0f} ml), as after editing by hand; "
    "segment the CT again, or edit both alike."
)
REMOVED = _("Removed")
REMNANT = _("Future liver remnant")
REMNANT_WITHOUT_TUMOURS = _("Remnant without tumours")
REMNANT_OF_LIVER = _("Remnant, % of liver")
REMNANT_OF_LIVER_WITHOUT_TUMOURS = _("Remnant, % of liver, both without tumours")
REMNANT_OF_WEIGHT = _("Remnant, % of body weight")
STANDARD_LIVER = _("Standard liver volume")
REMNANT_OF_STANDARD = _("Remnant, % of standard")
PERCENT = _("{percent:.0f} %")
FINE_PERCENT = _("{percent:.2f} %")
UNLIKELY_WEIGHT = _("{weight:g} kg is no patient's weight; give it in kg.")
UNLIKELY_HEIGHT = _("{height:g} cm is no patient's height; give it in cm.")

# ---- stages of progress ----------------------------------------------------------------------------------------------

PREPARING = _("Preparing the volume")
FINDING_LIVER = _("Finding the liver")
BACK_TO_SCAN = _("Bringing it back to the scan's grid")
CORRECTING = _("Correcting the liver")
CLEANING_UP = _("Cleaning up")
DONE = _("Done")
STARTING = _("Starting")
COPYING_VOLUME = _("Copying the volume")
LOADING_NETWORK = _("Loading the network")
FINDING_DEVICES = _("Finding out what can run the network")
MEASURING = _("Measuring the result")
WRITING_RESULT = _("Writing the result")
COMPARING = _("Comparing with the reference")
FRAME_PROGRESS = _("Frame {number} of {count}: {stage}")
REMAINING_SECONDS = _("about {seconds} s left")
REMAINING_MINUTES = _("about {minutes} min left")
CANCELLED = _("Cancelled: nothing was changed.")

# ---- the reference ---------------------------------------------------------------------------------------------------

UNCLEAR_LIVER = _("Which segment of {name} is the liver is not clear (it has {segments}); name that one Liver.")
NO_SEGMENTS = _("no segments")
UNCLEAR_LABELS = _(
    "{name} holds {count} labels, so which one is the liver is not clear; "
    "give a labelmap with 1 for the liver and 2 for tumours."
)
FOLDER_AS_LABELMAP = _("{path} is a folder; give a labelmap as .nii.gz, .nrrd, .mha or .seg.nrrd.")
SEVERAL_VALUES = _("{path} has {count} values a voxel; give a labelmap with one.")
ANATOMY_UNLIKE_RESULT = _(
    "{path} holds other labels than 1 to 9, or lies on another grid than {result}; "
    "give a result as liverseg segment --segments writes it, or take that file away."
)
LABELS_NOT_FINITE = _("{path} holds NaN or infinite values; give a labelmap of 0 background, 1 liver and 2 tumour.")
NO_OVERLAP = _(
    "The reference and the image do not overlap in the patient; "
    "check that both belong to the same scan and that both kept their position when they were exported."
)
OTHER_GRID = _(
    "The reference lies on another voxel grid ({reference}, its corners {distance:.4g} mm away at most) "
    "than the image ({image}); "
    "it was resampled with nearest neighbours. Give it on the image's grid to compare exactly."
)
GRID = _("{size} voxels of {spacing} mm, axes {axes}")
PARTLY_OUTSIDE = _(
    "{share:.0%} of the reference lies outside the image; the comparison covers the rest. "
    "Check that both belong to the same scan."
)

# ---- scene: nodes, transforms, sequences (LiverSegLib.mrml) ----------------------------------------------------------

THE_VOLUME = _("The volume")
NO_VOLUME = _("No CT volume is selected; load a CT and choose it as the input.")
NOT_A_VOLUME = _("{name} is not a volume ({kind}); choose a CT volume as the input.")
VOLUME_HOLDS_NO_IMAGE = _("{name} holds no image; load the CT again.")
VOLUME_IS_A_LABELMAP = _("{name} is a labelmap; choose the CT as the input and the labelmap as the reference.")
VOLUME_IS_A_COLOUR_IMAGE = _("{name} is a colour or vector image; choose a CT with one value (HU) per voxel.")
VOLUME_CHANGED_WHILE_COPIED = _("{name} has changed or was deleted while it was read; choose the CT and start again.")
VOLUME_CHANGED = _("{name} has changed since it was segmented; segment it again.")
VOLUME_HOLDS_NO_FRAME = _("{name} has no frame {frame} any more; segment the sequence again.")

TRANSFORM_IS_SINGULAR = _(
    "The transform {transform} makes {name} flat or leads nowhere; correct the transform or take {name} out of it."
)
TRANSFORM_FOLDS = _(
    "The transform {transform} folds {name} onto itself, so that places of the patient coincide; "
    "smooth the transform or take {name} out of it."
)

NEW_SEGMENTATION = _("{name} liver segmentation")
SEGMENTATION_SEQUENCE = _("{name} sequence")
SECOND_OF_THAT_NAME = _("{name} (LiverSeg)")
AGAINST_THE_REFERENCE = _("{name} against the reference")
NO_OUTPUT = _("No segmentation is selected for the result; create one and choose it as the output.")
OUTPUT_IS_DELETED = _("{name} was deleted; choose another segmentation for the result.")
OUTPUT_HOLDS_SURFACES = _("{name} holds segments made of surfaces; choose another segmentation for the result.")
OUTPUT_UNDER_ANOTHER_TRANSFORM = _(
    "{name} holds segments under a transform that cannot be brought together with that of {volume}; "
    "choose another segmentation for the result."
)

NO_REFERENCE_NODE = _("No reference is selected; choose a segmentation or a labelmap (load the file as one of these).")
NOT_A_REFERENCE = _(
    "{name} cannot be the reference; choose a segmentation or a labelmap (load the file as one of these)."
)
REFERENCE_DELETED = _("The reference {name} was deleted; choose another one.")
REFERENCE_HOLDS_NO_IMAGE = _("{name} holds no image; load the reference again.")
REFERENCE_IS_EMPTY = _("Nothing is labelled in {name}; choose another reference.")
REFERENCE_SEGMENT_IS_EMPTY = _("The segment {segment} of {name} is empty; choose another reference.")
REFERENCE_IS_THE_RESULT = _(
    "{name} holds the result itself, which is no reference for itself; choose another segmentation or segment."
)
NO_SUCH_SEGMENT = _("{name} has no segment {segment} (it has {segments}); name one of these.")
NO_OVERLAP_THROUGH_TRANSFORMS = _(
    "{name} does not overlap {volume} through their transforms; "
    "check the transforms, or harden them, and choose the reference again."
)
REFERENCE_THROUGH_WARP = _(
    "The reference {name} was resampled through a non-linear transform; look at it on the slices."
)


NO_SEQUENCE = _("{name} does not belong to a sequence; turn off all frames or choose a volume of a sequence.")


# ---- report and pictures ---------------------------------------------------------------------------------------------

PLACE = _("slice {number}, {where} of the liver: {ml:.0f} ml in doubt, {inside}")
PLACE_UPPER_RIGHT = _("upper right part")
PLACE_UPPER_LEFT = _("upper left part")
PLACE_MIDDLE_RIGHT = _("right part, middle height")
PLACE_MIDDLE_LEFT = _("left part, middle height")
PLACE_LOWER_RIGHT = _("lower right part")
PLACE_LOWER_LEFT = _("lower left part")
PLACE_INSIDE = _("mostly in the result")
PLACE_OUTSIDE = _("mostly left out")
RESEARCH_USE = _("For research use; not a certified medical device.")
RESEARCH_USE_SHORT = _("For research use")
SUMMARY_LIVER = _("Liver: {volume:.0f} ml")
SUMMARY_MODALITY = _("Modality: {modality}")
SUMMARY_TUMOURS = _("Tumours: {volume:.1f} ml")
SUMMARY_QUALITY = _("Quality: {quality:.2f}, the Dice to be expected")
SUMMARY_CORRECTIONS = _("Corrected by a reader, strokes: {count}")
SUMMARY_PLACE = _("To check: {place}")
SUMMARY_COMPARISON = _(
    "Dice: {dice:.3f} (IoU {iou:.3f}, HD95 {hd95_mm:.1f} mm, ASSD {assd_mm:.1f} mm, "
    "volume {volume_difference_percent:+.1f} %)"
)
SUMMARY_TIME = _("Time: {seconds:.1f} s on {device} ({stages})")
SUMMARY_WARNING = _("Warning: {warning}")
SUMMARY_ROW = _("{name}: {value}")
COUINAUD_SEGMENT = _("Couinaud segment {number}")
SEGMENT_VOLUME = _("{volume:.0f} ml, {percent:.0f} %")
VESSELS = _("Liver vessels")
SPLEEN = _("Spleen")
TUMOUR_NUMBER = _("Tumour {number}")
TUMOUR_MEASURES = _("{volume:.1f} ml, {diameter:.0f} mm")
TUMOUR_IN_SEGMENTS = _("{measures}, in segment {segments}")
ATTENUATION_LIVER = _("Liver attenuation")
ATTENUATION_SPLEEN = _("Spleen attenuation")
ATTENUATION_DIFFERENCE = _("Liver minus spleen")
HU = _("{hu:.1f} HU")
HU_DIFFERENCE = _("{hu:+.1f} HU")
RANGE_IN_ML = _("{smallest:.0f} to {largest:.0f} ml")
RANGE_IN_HU = _("{smallest:.1f} to {largest:.1f} HU")
CONTRAST_REMARK = _(
    "The spleen is as bright as contrast medium makes it, so that the difference says nothing of fat; "
    "use a scan without contrast medium for that."
)
TOO_THIN_REMARK = _(
    "Of liver or spleen, too little lies away from the rim to measure its attenuation; use a scan that covers both."
)
PLAIN_REMARK = _(
    "Without contrast medium, livers without fat measure 1 to 18 HU more than the spleen; "
    "see Park et al., Radiology 258:760, 2011."
)
PICTURE_SLICE = _("slice {number} of {count}")
PICTURE_LIVER = _("liver {volume:.0f} ml")
PICTURE_NO_LIVER = _("no liver found")
PICTURE_TUMOUR = _("tumour {volume:.1f} ml")
PICTURE_VESSELS = _("vessels {volume:.0f} ml")
PICTURE_SPLEEN = _("spleen {volume:.0f} ml")
PICTURE_SEGMENTS = _("Couinaud segments, ml")
PICTURE_SEGMENT = _("{number}: {volume:.0f}")
PICTURE_REFERENCE = _("reference {volume:.0f} ml")
PICTURE_DICE = _("Dice {dice:.3f}")

# ---- the page of a run over many cases (LiverSegLib.batch.page) ------------------------------------------------------

PAGE_CASES = _("Cases")
PAGE_FAILED = _("Failed")
PAGE_SKIPPED = _("Skipped (done before)")
PAGE_MEDIAN_DICE = _("Median Dice")
PAGE_ORDER = _("Order")
PAGE_BY_DICE = _("lowest Dice first")
PAGE_BY_DOUBT = _("most doubtful first")
PAGE_BY_NAME = _("by name")
PAGE_BY_TIME = _("slowest first")
PAGE_PLACES = _("Places to check, most in doubt first:")
PAGE_SHOWN = _("Show")
PAGE_ALL = _("all cases")
PAGE_DONE = _("done")
PAGE_ONLY_FAILED = _("failed")
PAGE_WARNED = _("with warnings")
PAGE_FIND = _("Name")
PAGE_PICTURE = _("Outlines on slices of {name}")
PAGE_SECONDS = _("{seconds:.1f} s")

# ---- the command line ------------------------------------------------------------------------------------------------

WRONG_USAGE = _("{problem}; see {program} --help.")
OUTPUT_IS_INPUT = _("{path} is an input and would be overwritten; choose another name for the output.")
OUTPUT_GIVEN_TWICE = _("{path} is given for two outputs; choose different names.")
BAD_PHANTOM_SIZE = _("A phantom of {shape} voxels of {spacing} mm cannot be drawn; give positive numbers.")
UNFORESEEN_ERROR = _("{kind}: {error}; run it again with --debug and report it.")
WRITTEN = _("Written: {files}")
STDOUT_NOT_WRITTEN = _(
    "Standard output cannot be written ({reason}); free some space where it goes. "
    "The files that were asked for are written."
)

# ---- many cases (LiverSegLib.batch) ----------------------------------------------------------------------------------

NO_CASES = _("{source} holds no CT that can be read; give a folder with {formats} or DICOM files, or a .csv of cases.")
NO_SOURCE = _("{source} does not exist or may not be read; give a folder with CTs or a .csv of cases.")
NO_REFERENCES_FOLDER = _("{folder} is no folder; give the one that holds the references.")
BAD_JOBS = _("The number of jobs is {jobs}; give at least 1.")
BAD_THREADS = _("The number of threads is {threads}; give at least 1.")
OUTPUT_HOLDS_INPUT = _("The output {output} is the folder of the input itself; choose another one for the results.")
NOT_OF_THE_RUN = _("{path} is a link, or no file, where the run keeps its own; move it away or choose another output.")
FOLDER_NOT_READ = _("The folder {folder} cannot be read ({reason}); check its permissions.")
LOOKS_LIKE_A_REFERENCE = _("{path} looks like a segmentation of {ct} and was left out; give --references to compare.")
DAMAGED_DICOM_FILES = _(
    "A folder holds DICOM files that cannot be read ({count}), they may be damaged or truncated; export them again, "
    "or find the folder by --patient-data."
)
LABEL_MAPS_LEFT_OUT = _("{count} label maps, such as {path}; give --references to compare.")
HIDDEN_LEFT_OUT = _("hidden files and folders ({count}), whose names begin with a dot")
FORMER_RESULTS_LEFT_OUT = _("results of an earlier run ({count} cases)")
AMONG_LABEL_MAPS = _("in a folder of label maps")
LINKS_TO_NOTHING = _("links that lead nowhere ({count})")
LEFT_OUT_DICOM = _("DICOM files ({count}): {reason}")
LEFT_OUT = _("{path}: {reason}")
LEFT_OUT_FILES = _("{folder} ({count} files): {reason}")

CASE_TABLE_UNREADABLE = _("{path} cannot be read as a table ({reason}); convert it to CSV in UTF-8.")
CASE_TABLE_WITHOUT_CT = _(
    '{path} has no column "ct" (its columns: {columns}); name the columns ct, reference, name and series_uid, and '
    "separate them by commas, semicolons or tabs."
)
CASE_TABLE_COLUMN_TWICE = _("{path} has two columns {column}; choose one and name the other otherwise.")
CASE_TABLE_ROW_TOO_LONG = _(
    "Line {line} of {path} has more cells than the table has columns; put quotes round a path that holds the separator."
)
CASE_TABLE_OTHER_COLUMNS = _("columns of the table that mean nothing here ({columns})")
CASE_TABLE_ROW_WITHOUT_CT = _("Line {line} of {path} names no CT; give its path in the column ct.")
CASE_TABLE_NAME_TWICE = _("{path} names {name} for two cases; give each a name of its own.")
SEVERAL_SERIES_IN_ROW = _(
    "{folder} holds several CT series; choose one by its SeriesInstanceUID, in the column series_uid."
)
NO_SUCH_SERIES = _("{folder} holds no CT series {uid}; check the column series_uid.")

SEVERAL_REFERENCES = _(
    "Several references fit this case ({references}); name one of them in a .csv of cases, or give one."
)
REFERENCE_OF_SEVERAL = _(
    "The reference {reference} fits several cases ({cases}); name the references in a .csv of cases."
)

SEG_NEEDS_DICOM_CASE = _("{name} is not a DICOM series, which a DICOM SEG has to refer to; choose another --format.")
CASE_UNFORESEEN = _("{kind}: {error}; run liverseg segment --debug on this case and report it.")
CASE_PROCESS_KILLED = _(
    "The process that worked on this case was killed, most likely for want of memory; "
    "run it again with fewer jobs or crop the image."
)
CASE_PROCESS_ENDED = _(
    "The process that worked on this case crashed (exit code {code}); "
    "run liverseg segment --debug on this case and report it."
)
WORKER_NOT_STARTED = _("A process for the batch did not start (exit code {code}); run it with --jobs 1 to see why.")
DISK_FULL = _("The disk of {folder} is full: the run stopped; free some space and run it again, and it goes on.")
OUTPUT_IN_USE = _("Another run ({owner}) writes to {folder}; wait until it has ended or choose another output.")
TABLE_IN_USE = _("{path} could not be replaced (is it open elsewhere?); see {other} for the results.")
CASES_FAILED = _("{failed} of {total} cases failed; see {table} for the reasons.")
BATCH_CANCELLED = _("Cancelled: {finished} of {total} cases are finished; run it again to go on.")

BATCH_SUMMARY = _("Cases: {total}, {done} done, {failed} failed, {skipped} skipped because they were whole")
BATCH_MEDIAN_DICE = _("Median Dice: {dice:.3f} of {count} cases with a reference")
BATCH_WITHOUT_REFERENCE = _("Without a reference: {count} of {total} cases")
BATCH_FAILED_CASE = _("Failed: {name}: {reason}")
BATCH_MORE = _("... and {count} more in {path}")
BATCH_LEFT_OUT = _("Left out: {what}")
BATCH_PROGRESS = _("{finished} of {total} cases")
BATCH_PROGRESS_FAILED = _("{failed} failed")
REMAINING_HOURS = _("about {hours:.1f} h left")
BATCH_TITLE = _("Liver segmentation of {count} cases")

# ---- many cases on a cluster (LiverSegLib.batch.cluster) -------------------------------------------------------------

NO_DASK = _("Running on a cluster needs the package distributed; install it with pip install 'liverseg[cluster]'.")
BAD_SCHEDULER_ADDRESS = _("{address} is no address of a Dask scheduler ({reason}); give tcp://host:port.")
NO_SCHEDULER = _(
    "No Dask scheduler answers at {address} ({reason}); check the address and that the scheduler runs (dask scheduler)."
)
SCHEDULER_LOST = _(
    "The Dask scheduler at {address} was lost; run the same command again when it is back, and it goes on where it was."
)
NO_WORKERS = _(
    "The Dask scheduler at {address} has no workers; run dask worker {address} on some machines, the batch waits."
)
WORKER_WITHOUT_LIBRARY = _(
    "The worker {worker} cannot load LiverSegLib {wanted} ({reason}); install liverseg {wanted} there."
)
WORKER_OF_OTHER_VERSION = _(
    "The worker {worker} has LiverSegLib {found}, this computer has {wanted}; install the same version on both."
)
WORKER_SEES_NO_OUTPUT = _(
    "The worker {worker} does not see the output {folder}; "
    "put it on storage that all machines share, under the same path."
)
WORKER_SEES_NO_INPUT = _(
    "The worker {worker} does not see the input {path}; put it on storage that all machines share, under the same path."
)
WORKER_NOT_READY = _("Check the worker {worker}: {problem}.")
OTHER_WEIGHTS = _(
    "It has other weights ({found}) than this computer ({wanted}); install the same version on both, "
    "or give one --model."
)
WORKER_LEFT_OUT = _("Left out of the run: {problem}")
WORKER_LOST = _(
    "The worker {worker} was lost while it had the case {case} (loss {count} of {most}); "
    "give workers more memory if this comes again and again."
)
CASE_LOST_ITS_WORKERS = _(
    "The worker that had this case was lost {count} times (the last was {worker}), most likely for want of memory; "
    "give workers more memory or crop the image."
)

# ---- the panel in Slicer ---------------------------------------------------------------------------------------------

SEGMENT_LIVER = _("Segment Liver")
CANCEL = _("Cancel")
CREATE_NEW_SEGMENTATION = _("Create new segmentation")
WHOLE_LIVER_REFERENCE = _("(automatic)")
MEASURE_MODALITY = _("Modality")
DEVICE_AUTOMATIC = _("Automatic")

NO_VOLUME_HINT = _("Load a CT of the abdomen and choose it as the input, or try File > Download Sample Data > CTLiver.")
READY_HINT = _("Find the liver in the chosen CT and show it on the slices and in 3D.")
RUNNING_HINT = _("Stop and leave the scene as it was.")

NO_HEPATECTOMY = _("None")
OTHER_HEPATECTOMY = _("Other segments")
LIVER_VOLUME = _("{volume:.0f} ml")
TUMOUR_VOLUME = _("{volume:.1f} ml")
DONE_IN = _("Done in {seconds:.1f} s on {device}")
QUALITY_GOOD = _("Looks good")
QUALITY_CHECK = _("Check")
QUALITY_HINT = _(
    "Expected Dice {quality:.2f}: how well the network expects to agree with a reader; 1 is perfect. It cannot tell "
    "of what the network does not doubt. Look at the result whatever it says."
)
CHECK_RESULT = _("Please check the result:")
FRAMES_RESULT = _("{count} frames, liver {smallest:.0f} to {largest:.0f} ml")
RANGE_OF_VOLUMES = _("{smallest:.0f} to {largest:.0f} ml in {count} frames")

NO_REFERENCE = _("No reference: choose a labelmap or a segmentation")
TABLE_TITLE = _("{name} measures")
COLUMN_MEASURE = _("Measure")
COLUMN_VALUE = _("Value")
COLUMN_UNIT = _("Unit")
MEASURE_LIVER_VOLUME = _("Liver volume")
MEASURE_TUMOUR_VOLUME = _("Tumour volume")
COLUMN_FRAME = _("Frame")
COLUMN_WITH_UNIT = _("{measure}, {unit}")
MEASURE_QUALITY = _("Expected Dice")
MEASURE_DICE = _("Dice")
MEASURE_IOU = _("IoU")
MEASURE_HD95 = _("HD95")
MEASURE_ASSD = _("ASSD")
MEASURE_VOLUME_DIFFERENCE = _("Volume difference")
MEASURE_TIME = _("Time")
MEASURE_DEVICE = _("Device")

STROKE_POINT = _("{tool}, slice {number}")
STROKE_LINE = _("{tool}, slice {number}, {mm:.0f} mm")
STROKE_ADD = _("Add")
STROKE_REMOVE = _("Remove")
STROKES_LIVER = _("Liver by strokes")
STROKES_NO_LIVER = _("No liver by strokes")
CLICK_OUTSIDE = _("That is outside of {name}; click inside of it.")
CORRECT_TITLE = _("Correct")
CORRECT_TITLE_PLACES = _("Correct: {count} to check")
TOOL_HINT = _("{tool}: click or draw in a slice view. Esc ends.")
CORRECTED_ONCE = _("1 stroke: +{added:.1f} ml, −{removed:.1f} ml")
CORRECTED = _("{count} strokes: +{added:.1f} ml, −{removed:.1f} ml")
PREPARING_CORRECTION = _("Preparing the CT")
NOTHING_TO_CORRECT = _("{name} holds no liver of a CT that is open; segment the CT first.")
RESULT_CHANGED_MEANWHILE = _("The result was changed while it was corrected; draw the stroke again.")
SHORT_UPPER_RIGHT = _("upper right")
SHORT_UPPER_LEFT = _("upper left")
SHORT_MIDDLE_RIGHT = _("middle right")
SHORT_MIDDLE_LEFT = _("middle left")
SHORT_LOWER_RIGHT = _("lower right")
SHORT_LOWER_LEFT = _("lower left")
PLACE_SHORT = _("Slice {number}, {where}, {ml:.0f} ml")
PLACE_HINT = _("Click to see it in all slice views: {place}.")
MEASURE_STROKES = _("Strokes of the reader")
MEASURE_ADDED = _("Added by the reader")
MEASURE_REMOVED = _("Removed by the reader")
MEASURE_PLACES_CHECKED = _("Places checked")
CHECKED_OF = _("{checked} of {count}")
MEASURE_CHECKED_BY = _("Checked by")
# In 64 characters of a DICOM SEG, together.
CORRECTED_ALGORITHM = _("{name}, {count} corrections")
CHECKED_ALGORITHM = _("{name}, checked by {reader}")

MISSED = _("Missed")
EXTRA = _("Extra")

INPUT_DELETED = _("The CT was removed while it was segmented; load it again and start again.")
OUTPUT_DELETED = _(
    "The segmentation for the result was removed while the CT was segmented; choose another one and start again."
)
SCENE_CLOSED = _("The scene was closed while the CT was segmented, so there is no result; load a CT and start again.")
UNEXPECTED_ERROR = _(
    'An unexpected error occurred ("{error}"); open View > Error Log, copy the last lines, and send them with '
    "Slicer's version to the developers of Liver Segmentation."
)

# ---- Sample Data module ----------------------------------------------------------------------------------------------

SAMPLE_CATEGORY = _("Liver Segmentation")

# ---- installation on the first run -----------------------------------------------------------------------------------

INSTALL_QUESTION = _(
    "Liver Segmentation needs {packages}, which Slicer does not bring along. Install now ({size})? "
    "This happens once and needs the internet; images stay on this computer. "
    'For a computer without internet see "Install without internet" in the README of Liver Segmentation.'
)
SIZE_WITH_PYTORCH = _(
    "a download of about 200 MB, or of up to 3.5 GB with an NVIDIA GPU, and two to three times as much on the disk; "
    "it takes some minutes"
)
SIZE_SMALL = _("a download of a few MB")
INSTALLING = _("Installing {packages}; this may take some minutes. Please wait.")
INSTALL_DECLINED = _("{packages}: not installed; click Segment Liver again when you want to install.")
INSTALL_FAILED = _(
    "{packages}: could not be installed ({reason}); check the internet connection and the free disk space and try "
    'again, or follow "Install without internet" in the README.'
)
INSTALL_RUNNING = _("An installation is still running; wait until it has finished, then click Segment Liver again.")
INSTALL_NEEDS_EXTENSION = _(
    "PyTorch is installed through the PyTorch extension, which is missing; open View > Extensions Manager, "
    "search PyTorch, install it, and restart Slicer."
)
PACKAGES_MISSING = _(
    "{packages}: not installed, or too old; open the Liver Segmentation module in Slicer and click Segment Liver, "
    "which installs what is missing."
)
PYTORCH_BROKEN = _(
    "PyTorch is installed but does not load ({reason}); open the PyTorch Utils module, uninstall PyTorch, "
    "restart Slicer, and click Segment Liver again."
)
RESTART_NEEDED = _("The packages are installed but an older one is still loaded; restart Slicer to use them.")
VERSION_TOO_OLD = _(
    "{package} {version} is loaded, but {minimum} or newer is needed; restart Slicer and click Segment Liver before "
    "other modules load it, so that it can be updated."
)
REASON_PIP_FAILED = _("pip ended with code {code}; its last lines are in View > Python Console")
REASON_NOT_FOUND = _("it is not found after the installation; restart Slicer")

# ---- segments, vessels and spleen ------------------------------------------------------------------------------------

FINDING_SEGMENTS = _("Telling the segments apart")
NO_SEGMENTS_OF_SO_LITTLE = _(
    "So little of a liver was found that its segments cannot be told apart; use a scan that covers all of it."
)
SEGMENTS_NOT_FOUND = _(
    "These Couinaud segments were not found: {segments}; check the ones beside them, unless these were taken out."
)
SEGMENTS_UNSURE = _(
    "The network is unsure of the Couinaud segments, as after a resection or in an unusual liver: "
    "check their numbers and borders before you use the volumes."
)
SEGMENTS_OF_A_PART = _(
    "The Couinaud segments are those of a liver that may be cut off: check their borders before you use the volumes."
)
FINDING_VESSELS = _("Finding the vessels")
NO_VESSELS_OF_SO_LITTLE = _(
    "So little of a liver was found that its vessels were not looked for; use a scan that covers all of it."
)
NO_VESSELS = _(
    "No vessels are to be seen in the liver, as without contrast medium or before it arrives; "
    "use a scan of the portal venous phase."
)
FAINT_VESSELS = _(
    "The vessels hardly stand out from the liver, as without contrast medium: many may be missing; "
    "use a scan of the portal venous phase if there is one."
)
VESSELS_OF_A_PART = _(
    "The vessels are those of a liver that may be cut off: check where it ends before you use their volume."
)
NETWORK_WITHOUT_SPLEEN = _("The network {name} does not know the spleen; choose one whose card names it.")
SPLEEN_CUT = _(
    "The spleen reaches the scan's first or last slice, or its side: it may be cut off, and its volume be larger; "
    "use a scan that covers all of it if there is one."
)
NO_SPLEEN_OF_SO_LITTLE = _(
    "So little of a spleen was found at the scan's end or side that it was left out; use a scan that covers all of it."
)
NO_SPLEEN = _("No spleen was found: it was taken out, lies outside the scan, or was missed; check the CT.")
