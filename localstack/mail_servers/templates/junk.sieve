require ["fileinto"];
if anyof ($tests) {
    fileinto "Junk";
}
