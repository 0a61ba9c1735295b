"""Images and data sets: preprocessing, folders of classes, Oxford-IIIT Pet."""
