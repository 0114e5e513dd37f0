"""The shape of an iris table: four lengths in centimetres and the species. Pure: constants only."""

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
TARGET = "species"
SPECIES = ("setosa", "versicolor", "virginica")
